#!/bin/sh
# --hide net with --ip ADDR: what asks about the network is shown the guest's, and its sockets are the host stack's.
. "$(dirname "$0")/lib.sh"
need root cgroup2 net bpf tool:nsenter
mktmp
make_root "$tmp/r"
chmod 700 "$tmp"
cp "$helpers/sock" "$tmp/r/bin/sock"
leftovers_before
R=$tmp/r

# A host with two guests' addresses on one device, and a device that is nobody's.
cat >"$tmp/make-host" <<EOF2
	ip link add host0 type veth peer name peer0
	ip link add secret0 type veth peer name secret1
	ip link set host0 address 02:00:00:00:00:05 mtu 1400
	ip addr add 10.78.0.5/24 dev host0
	ip addr add 10.78.0.6/24 dev host0
	ip addr add 10.78.0.8/24 dev host0 label host0:web
	ip addr add 2001:db8::5/64 dev host0 nodad
	ip addr add 2001:db8::6/64 dev host0 nodad
	ip addr add 10.99.0.1/24 dev secret0
	for d in host0 peer0 secret0 secret1; do ip link set \$d up; done
	echo \$\$ >$tmp/holder
	exec sleep 600
EOF2
HOST_ADDRS='' in_host_net sh "$tmp/make-host" &
wait_for 10 test -s "$tmp/holder"
holder=$(cat "$tmp/holder")
at_exit "kill $holder 2>/dev/null"
host() { nsenter --net="/proc/$holder/ns/net" "$@"; }
V="$VRUN -q --root $R --ip 10.78.0.5 --ip 2001:db8::5"
guest() { run host $V --hide net "$@"; }

# What each way to ask says of others' devices and addresses.
look='
	ip addr; ip -o link; ip route; ip -6 route; ip neigh; ifconfig -a; cat /proc/net/dev /proc/net/if_inet6 /proc/net/route
	cat /proc/net/fib_trie /proc/self/net/arp /proc/1/net/dev; ls /sys/class/net; sock names; sock names32'
others='secret|10\.99|10\.78\.0\.6|db8::6|db8[0:]*6|peer0|006300'

for u in yes no; do
	guest --userns "$u" -- sh -c "$look"
	unlike "userns $u: nothing shows another's device or address" "$out" "$others"
	for how in 'inet 10\.78\.0\.5/24.*host0' 'inet6 2001:db8::5/64' 'inet addr:10\.78\.0\.5' 'getifaddrs host0 10\.78\.0\.5' \
		'ifconf host0 10\.78\.0\.5' '20010db8000000000000000000000005' '^10\.78\.0\.0/24 dev host0'; do
		like "userns $u: its own is shown ($how)" "$out" "$how"
	done
	case $(uname -m) in
	x86_64) like "userns $u: to a 32-bit caller too" "$out" '^ifconf32 host0 10\.78\.0\.5' ;;
	esac
	like "userns $u: same hardware address" "$out" '02:00:00:00:00:05'
	like "userns $u: same MTU" "$out" 'host0.*mtu 1400'
	is "userns $u: same index" "$(printf '%s\n' "$out" | awk '$1 == "index" && $2 == "host0" { print $3 }')" \
		"$(host sh -c 'cat /sys/class/net/host0/ifindex 2>/dev/null || ip -o link show host0 | cut -d: -f1')"
	run host "$VRUN" -q --root "$R" --userns "$u" --ip 10.78.0.5 --hide mount,proc --share abstract -- sh -c "$look"
	like "userns $u: (control) without net the others' show" "$out" "$others"

	guest --userns "$u" -- sh -c 'sock meet 10.78.0.5; sock bind 10.78.0.5 80; sock bind 10.78.0.6 80; sock bind 0.0.0.0 81
		sock bind 10.99.0.1 80; sock odd; ip addr add 10.78.0.6/24 dev host0 2>/dev/null; echo $?'
	is "userns $u: its sockets: own address, port 80, not another's, any, not another's; odd ones; no new address" \
		"$(printf '%s\n' "$out" | tail -n +2 | tr '\n' ' ' | sed 's/ [1-9][0-9]* $/ refused /')" "0 99 0 99 1 94 93 22 1 1 refused "
	like "userns $u: and both ends are the guest's" "$out" '^server sees 10\.78\.0\.5$'
done

run host "$VRUN" -q --root "$R" --ip 10.78.0.8 --hide net -- ip -o addr
like "an address with a label is shown, too" "$out$err" 'host0 .*10\.78\.0\.8/24'

# A module whose device is born with each namespace, under the number of this host's own.
if modprobe -q sit 2>/dev/null && modprobe -r sit 2>/dev/null; then
	run unshare --net sh -c 'ip link set lo up; ip link add host2 index 2 type veth peer name peer2 index 9
		ip addr add 10.78.0.9/32 dev host2; modprobe sit; exec "$@"' \
		sh "$VRUN" -q --root "$R" --ip 10.78.0.9 --hide net -- ip -o addr
	like "a device whose number is taken in the view is there under another" "$out$err" 'host2 .*10\.78\.0\.9/32'
	modprobe -r sit
else
	skip "no tunnels of each namespace's own (sit)"
fi

# The other side: a client on the host reaches the guest, and the guest the host.
host sh -c "$V --hide net -- sock serve 10.78.0.5 8080 >$tmp/guest & $helpers/sock call 10.78.0.5 8080 >$tmp/host; wait"
is "a client on the host is served by the guest" "$(cat "$tmp/host" "$tmp/guest" | tr '\n' ' ')" "from-server from-client "
host sh -c "$helpers/sock serve 10.78.0.6 8081 >$tmp/host & $V --hide net -- sock call 10.78.0.6 8081 >$tmp/guest; wait"
is "and the guest is served by the host" "$(cat "$tmp/host" "$tmp/guest" | tr '\n' ' ')" "from-client from-server "

host sh -c "$helpers/sock listen vrun-t72 600 >$tmp/abs & a=\$!; until grep -q @vrun-t72 /proc/net/unix; do sleep 0.1; done; $V --hide net -- sock abstract vrun-t72 >$tmp/a1
	$helpers/sock abstract vrun-t72 >$tmp/a2; kill \$a"
is "an abstract UNIX socket of the host's isn't there" "$(cat "$tmp/a1")" 111
is "(control) outside it is" "$(cat "$tmp/a2")" 0

guest -- sh -c 'for c in 0x8914 0x8916 0x8924 0x8946 0x894c 0x8954 0x89f0; do sock ifreq host0 $c; done'
is "what sets, and what asks for more, is refused" "$(echo $out)" "1 1 1 1 1 1 1"
guest -- sh -c 'sock ifreq host0 0x8915; sock ifreq secret0 0x8915; sock notsock 0x8915'
is "asking: of its device; of another; with no socket; with no descriptor" "$(echo $out)" "0 19 25 9"
for u in yes no; do
	guest --userns $u -- sock owners
	is "userns $u: a socket is its caller's, whoever came before, an undumpable process's, too: wrong ones" "$out" 0
done
guest -- sh -c 'sock flood 50 2'
is "50 processes that make sockets for 2 s: none fails" "$out" "failed 0"
guest -- sh -c 'sock cost 500'
like "a socket costs (median, µs)" "$out" '^[0-9.]+$'
echo "# socket and close: $out µs; without: $(host $V --hide mount,proc --share abstract -- sock cost 500) µs"

host "$VRUN" -q --name seen$$ --root "$R" --ip 10.78.0.5 --hide net -- sh -c 'while :; do ip addr >/root/now; sleep 0.2; done' &
vrun=$!
ok "a guest shows its address" wait_for 5 grep -q 10.78.0.5 "$R/root/now"
ok "--set --ip gives it another" host "$VRUN" --set seen$$ --ip 10.78.0.6 --ip 2001:db8::6
ok "which it shows" wait_for 5 grep -q 10.78.0.6 "$R/root/now"
ok "and uses" wait_for 5 host "$VRUN" --enter seen$$ -- sock meet 10.78.0.6
only_new() { cp "$R/root/now" "$tmp/now"; grep -q 10.78.0.6 "$tmp/now" && ! grep -Eq '10\.78\.0\.5|db8::5|10\.99' "$tmp/now"; }
ok "the old one is gone" wait_for 5 only_new

# Addresses that the view can't show, since somebody has taken IPv6 away in there.
host "$VRUN" --set seen$$ --ip 10.78.0.6
inside=$("$VRUN" --status seen$$ --json | tr ',{' '\n\n' | sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p')
nsenter --net="/proc/$inside/ns/net" sh -c 'for d in all default; do echo 1 >/proc/sys/net/ipv6/conf/$d/disable_ipv6; done'
exits "a --set --ip that fails within the view" 125 host "$VRUN" --set seen$$ --ip 10.78.0.5 --ip 10.78.7.7@secret0 --ip 2001:db8::5
is "leaves no address on the host" "$(host ip addr | grep -c '10\.78\.7\.7')" 0
like "and the view as it was" "$(host "$VRUN" --enter seen$$ -- ip addr)" '10\.78\.0\.6'
host "$VRUN" --kill seen$$
wait "$vrun"

# What --set gave lasts over a reboot; and holds on what enters where pid 1 makes no children for vrun.
cat >"$R/bin/again" <<-'S'
	#!/bin/sh
	trap 'exec reboot -f' USR1
	echo boot >>/root/boots
	ip addr >/root/now
	while :; do sleep 0.1; done
S
chmod 755 "$R/bin/again"
boots() { [ "$(wc -l <"$R/root/boots")" -eq "$1" ]; }
pids() { "$VRUN" --status again$$ | awk '$1 == "pids" { print $2 }'; }
host "$VRUN" -q --init --name again$$ --root "$R" --ip 10.78.0.5 --hide net -- /bin/again &
vrun=$!
wait_for 10 boots 1
wait_for 10 "$VRUN" -q --status again$$
ok "--set of a guest with --init" host "$VRUN" --set again$$ --ip 10.78.0.6 --pids 77
ok "--enter of it" host "$VRUN" --enter again$$ -- sh -c 'sleep 600 & sleep 600 & sleep 600 & echo'
ok "what entered counts for the limit" [ "$(pids)" -ge 4 ]
"$VRUN" --kill again$$ --signal USR1
ok "it reboots" wait_for 10 boots 2
ok "and shows the address that --set gave it" wait_for 5 grep -q 10.78.0.6 "$R/root/now"
unlike "not the one it was started with" "$(cat "$R/root/now")" '10\.78\.0\.5'
ok "the limit counts what it starts" wait_for 5 eval '[ "$(pids)" -ge 1 ]'
"$VRUN" --kill again$$
wait "$vrun"

run host $V --hide net --share abstract -- true
is "--share abstract --hide net is refused" "$status" 125
run host "$VRUN" --root "$R" --ip host --hide net -- true
is "--ip host --hide net is refused" "$status" 125
like "and the message names both" "$err" '^vrun: --hide net.* --ip host'
run host "$VRUN" -q --root "$R" --hide net -- ip -o addr
unlike "--ip none: a network of its own" "$out" "$others|host0"
kill "$holder"
wait 2>/dev/null
leftovers_none "nothing is left behind"

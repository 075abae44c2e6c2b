# What people run as clients, from guests, towards another machine: it sees the guest's address.
# second-kernel: no
HOST_ADDRS="10.1.2.1/24 10.1.2.3/24 10.1.2.5/24 2001:db8::1/64 2001:db8::3/64 2001:db8::5/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
need tool:python3
PATH=$PATH:/usr/sbin
real() { command -v "$1" >/dev/null || { skip "no $1"; return 1; }; }

# --- the other machine, behind host0's wire ----------------------------------

mkdir "$tmp/www"
: >"$tmp/www/Packages"
# shellcheck disable=SC2016
unshare --net --mount sh -c 'ip link set lo up; echo up >"$1/up"
	until ip link show peer0 >/dev/null 2>&1; do sleep 0.05; done
	ip addr add 10.1.2.200/24 dev peer0; ip -6 addr add 2001:db8::200/64 dev peer0 nodad; ip link set peer0 up
	mount -t tmpfs run /run; mkdir -m 755 /run/sshd; mount --bind "$1/passwd" /etc/passwd
	[ ! -x /usr/sbin/sshd ] || [ ! -e "$1/sshd_config" ] || /usr/sbin/sshd -D -e -f "$1/sshd_config" 2>"$1/sshd.log" & echo $! >"$1/sshd.pid"
	exec python3 "$2" "$1/www"' sh "$tmp" "$top/tests/servers/peer.py" >>"$tmp/seen" 2>"$tmp/peer.err" </dev/null &
peer=$!
at_exit "kill $peer \$(cat '$tmp/sshd.pid') 2>/dev/null"
# Whoever logs in is root, with no password to be locked and a shell that has no profile.
sed 's/^root:.*/root:*:0:0:root:\/tmp:\/bin\/sh/' /etc/passwd >"$tmp/passwd"
for f in host_key key; do ! real ssh-keygen || ssh-keygen -q -t ed25519 -N '' -f "$tmp/$f"; done
[ ! -e "$tmp/host_key" ] || printf '%s\n' "HostKey $tmp/host_key" "AuthorizedKeysFile $tmp/key.pub" "StrictModes no" \
	"PermitRootLogin prohibit-password" "PidFile none" "UsePAM no" >"$tmp/sshd_config"
wait_for 10 test -e "$tmp/up"
ip link set peer0 netns $peer
wait_for 20 grep -q ready "$tmp/seen" || { fail "the other machine is up"; _diag <"$tmp/peer.err"; }
[ ! -e "$tmp/sshd_config" ] || ! command -v sshd >/dev/null || wait_for 20 grep -q 'listening on ::' "$tmp/sshd.log"

# --- two guests: all of the defaults, and none -------------------------------

D=$tmp/d
mkdir -p "$D/usr" "$D/etc" "$D/proc" "$D/sys" "$D/dev" "$D/tmp" "$D/run" "$D/root"
for d in bin sbin lib lib64; do [ ! -e "/$d" ] || ln -s "usr/$d" "$D/$d"; done
cp -a /etc/ld.so.* /etc/alternatives /etc/services /etc/protocols "$D/etc"
cp "$tmp/passwd" "$D/etc/passwd"
echo "hosts: files dns" >"$D/etc/nsswitch.conf"
echo "nameserver 10.1.2.200" >"$D/etc/resolv.conf"
mkdir "$tmp/k"
[ ! -e "$tmp/key" ] || cp "$tmp/key" "$tmp/k"
chmod 711 "$tmp"
"$VRUN" -q --name a$$ --root "$D" --bind /usr --bind "$tmp/k:/root:idmap" --ip 10.1.2.3/24 --ip 2001:db8::3/64 -- sleep 2000 >"$tmp/a" 2>&1 &
"$VRUN" -q --name b$$ --hide mount,proc $abstract --bind "$D/etc/resolv.conf:/etc/resolv.conf" --bind "$tmp/k:/mnt" \
	--ip 10.1.2.5/24 --ip 2001:db8::5/64 -- sleep 2000 >"$tmp/b" 2>&1 &
for g in a b; do wait_for 10 sh -c "'$VRUN' -q --list | grep -qx $g$$" || { fail "guest $g starts"; _diag <"$tmp/$g"; }; done
guests="a:3:/root b:5:/mnt"
in_guest() { _in=$1$$; shift; "$VRUN" --enter "$_in" "$@" 2>&1; }

for x in $guests; do
	g=${x%%:*} end=${x#*:} keys=${x##*:}
	end=${end%:*}
	own="10.1.2.$end 2001:db8::$end"
	if real curl; then
		is "guest $g: curl, IPv4 and IPv6" "$(in_guest "$g" -- curl -s http://10.1.2.200/who) $(in_guest "$g" -- curl -s 'http://[2001:db8::200]/who')" "$own"
		is "guest $g: curl by a name that its resolver asks for" \
			"$(in_guest "$g" -- curl -4 -s http://peer.test/who) $(in_guest "$g" -- curl -6 -s http://peer.test/who)" "$own"
		is "guest $g: curl from an address of another's is refused" "$(in_guest "$g" -- curl -s --interface 10.1.2.1 http://10.1.2.200/who; echo $?)" 45
	fi
	if real dig; then
		is "guest $g: dig" "$(in_guest "$g" -- dig +short me.test A) $(in_guest "$g" -- dig +short @2001:db8::200 me.test AAAA)" "$own"
		is "guest $g: dig +tcp, where nobody is" "$(in_guest "$g" -- dig +short +tcp +tries=1 me.test | grep -c refused)" 1
	fi
	if real ping; then
		: >"$tmp/seen"
		like "guest $g: ping" "$(in_guest "$g" -- ping -n -c 1 -W 50 10.1.2.200)" ' 0% packet loss'
		like "guest $g: ping -6" "$(in_guest "$g" -- ping -n -6 -c 1 -W 50 2001:db8::200)" ' 0% packet loss'
		# by a thread each, so in any order
		wait_for 5 grep -q 'ping 10' "$tmp/seen"
		wait_for 5 grep -q 'ping 2001' "$tmp/seen"
		is "guest $g: the other machine saw its addresses" "$(tr -d '\000' <"$tmp/seen" | sed -n 's/^ping //p' | sort | tr '\n' ' ')" "$own "
	fi
	if real ssh && real sshd; then
		# shellcheck disable=SC2016
		is "guest $g: ssh" "$(for to in 10.1.2.200 2001:db8::200; do
			in_guest "$g" -- ssh -n -F none -i "$keys/key" -o BatchMode=yes -o UserKnownHostsFile=/dev/null \
				-o StrictHostKeyChecking=no -o LogLevel=ERROR "root@$to" 'echo ${SSH_CONNECTION%% *}'
		done | tr '\n' ' ')" "$own "
	fi
done

# --- apt, on a Debian root ---------------------------------------------------

if debian_root debian python3-minimal procps passwd systemd-sysv; then
	printf '%s\n' 'deb [trusted=yes] http://10.1.2.200/ ./' 'deb [trusted=yes] http://[2001:db8::200]/ ./' >"$tmp/list"
	: >"$tmp/seen"
	ok "apt-get update in a guest, as its user _apt" "$VRUN" -q --root "$debian" --cow tmpfs --bind "$tmp/list:/run/list" --ip 10.1.2.3/24 --ip 2001:db8::3/64 -- \
		apt-get -o Dir::Etc::sourcelist=/run/list -o Dir::Etc::sourceparts=/dev/null -o APT::Update::Error-Mode=any update
	is "the other machine saw the guest's addresses" "$(tr -d '\000' <"$tmp/seen" | sed -n 's/^http \([^ ]*\) .*GET .*Packages.*/\1/p' | sort -u | tr '\n' ' ')" \
		"10.1.2.3 2001:db8::3 "
	# The same as the host's root, whose addresses are others: what is seen is the guest's because it is a guest.
	is "(outside it is the host's)" "$(curl -s http://10.1.2.200/who) $(curl -s 'http://[2001:db8::200]/who' | grep -c '::[135]$')" "10.1.2.1 1"
else
	skip "no Debian root"
fi
"$VRUN" --kill a$$
"$VRUN" --kill b$$
kill $peer "$(cat "$tmp/sshd.pid")"
wait

#!/bin/sh
# --hide net with --ip ADDR: /proc/net and what reads it show the guest's sockets of the host's stack, and no other.
. "$(dirname "$0")/lib.sh"
need root cgroup2 net bpf kernel:fuse
HOST_ADDRS="10.78.0.5/24 10.78.0.6/24 10.78.0.7/24 2001:db8::5/64 2001:db8::6/64"
. "$(dirname "$0")/net.sh"
cp "$helpers/socks" "$R/bin/socks"
socks=$helpers/socks
view() { "$VRUN" -q --root "$R" "$@"; }
leftovers_before

# Sockets that are nobody's: the host's own, and another guest's, on the very ports and on 127.0.0.1.
mkfifo "$tmp/host.in" "$tmp/other.in"
sleep 1100 >"$tmp/host.in" & keep1=$!
sleep 1100 >"$tmp/other.in" & keep2=$!
at_exit "kill $keep1 $keep2 2>/dev/null"
"$socks" hold 10.78.0.7 - <"$tmp/host.in" >"$tmp/host" 2>&1 &
wait_for 20 grep -q ready "$tmp/host"
"$VRUN" -q --root "$R" --ip 10.78.0.6 --ip 2001:db8::6 --hide net -- socks hold 10.78.0.6 2001:db8::6 \
	<"$tmp/other.in" >"$tmp/other" 2>&1 &
wait_for 20 grep -q ready "$tmp/other"

# Lines of the tables for sockets that a process has (inode 0: not accepted yet, or already closed).
sorted() { grep '^[tu]' "$1" | grep -v ' 0$' | sort; }
hold='mkfifo /tmp/in; sleep 600 >/tmp/in & socks hold "$@" </tmp/in >/tmp/knows &
	while ! grep -q ready /tmp/knows 2>/dev/null; do usleep 20000; done
	cat /tmp/knows; echo ==; socks list; echo ==; socks list /proc/1/net'
# shellcheck disable=SC2016 # expanded in the guest
part() { awk -v n="$1" '/^==$/ { at++; next } at == n' "$tmp/out"; }

# holds SENTENCE ADDR4 ADDR6 VRUN-OPTION...
holds() {
	_says=$1 _a4=$2 _a6=$3
	shift 3
	run "$VRUN" -q --root "$R" --hide net "$@" -- sh -c "$hold" sh "$_a4" "$_a6"
	printf '%s\n' "$out" >"$tmp/out"
	[ -z "$err" ] || printf '%s\n' "$err" | sed 's/^/# err: /'
	part 0 >"$tmp/knows"
	part 1 >"$tmp/shown"
	is "$_says: each of its sockets stands in /proc/net, by the names its program knows, and nothing else" \
		"$(sorted "$tmp/shown")" "$(sorted "$tmp/knows")"
	is "$_says: in /proc/1/net too" "$(part 2 | sort)" "$(sort "$tmp/shown")"
}
holds "one address" 10.78.0.5 - --ip 10.78.0.5
holds "one of each family" 10.78.0.5 2001:db8::5 --ip 10.78.0.5 --ip 2001:db8::5
holds "without a user namespace" 10.78.0.5 2001:db8::5 --ip 10.78.0.5 --ip 2001:db8::5 --userns no
holds "with no other view" 10.78.0.5 - --ip 10.78.0.5 --virt none
holds "UDP on every address" 10.78.0.5 2001:db8::5 --ip 10.78.0.5 --ip 2001:db8::5 --ccap multicast
like "(control) on the host all of them show" "$("$socks" list)" '10\.78\.0\.6:8080 '
like "(control) and the host's own" "$("$socks" list)" '10\.78\.0\.7:8082 '
run "$VRUN" -q --root "$R" --ip 10.78.0.5 --hide mount,proc --share abstract -- socks list
like "(control) a guest without --hide net sees them" "$out" '10\.78\.0\.6:8080 '

# Column by column what the kernel says outside, but for slot, owner, reference count, place and quick acknowledges.
columns() { awk 'FNR > 1 && NF > 11 { $1 = $11 = $12 = $15 = ""; $8 = 0; print }' "$1"; }
view --ip 10.78.0.5 --hide net -- sh -c 'mkfifo /tmp/in; sleep 30 >/tmp/in & socks hold 10.78.0.5 - </tmp/in >/tmp/knows &
	while ! grep -q ready /tmp/knows 2>/dev/null; do usleep 20000; done; cp /proc/net/tcp /proc/net/udp /root; echo >/root/go
	while [ -e /root/go ]; do usleep 20000; done' &
wait_for 20 test -e "$R/root/go"
for table in tcp udp; do
	# Not those on the loopback, and not where the host has a wildcard: their names are others outside.
	# And not connections in TIME-WAIT, whose timer runs.
	columns "$R/root/$table" | grep -v ' 0100007F:\|:1F9[04] 00000000:0000\|^ [^ ]* [^ ]* 06 ' | sort >"$tmp/in"
	columns /proc/net/$table | sort >"$tmp/kernel"
	is "$table: its lines are the kernel's" "$(grep -vxF -f "$tmp/kernel" "$tmp/in")" ""
	like "$table: (control) there were some" "$(cat "$tmp/in")" '05004E0A:1F9'
	is "$table: so is the header" "$(head -n 1 "$R/root/$table" | sed 's/ *$//')" "$(head -n 1 /proc/net/$table | sed 's/ *$//')"
done
rm "$R/root/go"
wait "$!"

# The rest of /proc/net, and what the machine counts as a whole.
run view --ip 10.78.0.5 --hide net -- sh -c 'cat /proc/net/dev /proc/net/unix /proc/net/route >/dev/null || echo missing
	cd /proc/self/net && for f in *; do [ -e /proc/net/$f ] || echo not there: $f; done
	grep TCP: /proc/net/sockstat; ls /proc/net/dev_snmp6; cat /proc/net/nothing 2>&1'
like "the other names lead to its own network namespace" "$out" '^lo$'
unlike "none of them is missing" "$out" '^(missing|not there)'
like "sockstat has nothing of the machine's" "$out" '^TCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0$'
like "a name that isn't there isn't" "$out" 'No such file'

# Other processes' /proc/PID/net can't be covered: it is of the network namespace that they live in, where no socket is.
run view --ip 10.78.0.5 --hide net -- sh -c 'net tcp4 bind 10.78.0.5:8070 listen sleep 600000 >/dev/null & pid=$!
	while ! grep -q :1F86 /proc/net/tcp && [ $((n = n + 1)) -lt 400 ]; do usleep 50000; done
	grep -c :1F86 /proc/net/tcp; cd /proc; cat self/net/tcp thread-self/net/tcp $pid/net/tcp $pid/task/$pid/net/udp self/net/dev'
is "a socket shows in /proc/net" "$(echo "$out" | head -n 1)" 1
unlike "in /proc/PID/net and /proc/self/net there are none, neither the guest's nor others'" "$out" '^ *[0-9]+: [0-9A-F]{8}:'
like "but the guest's devices" "$out" '^ *host0:'
like "(control) a guest without --hide net has all of them there" "$("$VRUN" -q --root "$R" --ip 10.78.0.5 --hide mount,proc \
	--share abstract -- cat /proc/self/net/tcp)" ' 06004E0A:1F90 '

# Raw sockets: sock_diag has them in few kernels; else the owner tells whose they are.
"$net" raw4 1 sleep 600000 >/dev/null 2>&1 & raw=$!
at_exit "kill $raw 2>/dev/null"
run view --ip 10.78.0.5 --ip 2001:db8::5 --hide net -- sh -c 'net raw4 1 sleep 600000 & net raw6 58 sleep 600000 & sleep 0.1
	while [ "$(grep -c : /proc/net/raw /proc/net/raw6 | grep -c ":1$")" -lt 2 ] && [ $((n = n + 1)) -lt 100 ]; do usleep 50000; done
	cat /proc/net/raw /proc/net/raw6; ls -l /proc/[0-9]*/fd 2>/dev/null | sed "s/.* -> //" | grep socket; grep RAW /proc/net/sockstat'
is "raw sockets show, its own" "$(printf '%s\n' "$out" | awk '/^ +[0-9]+:/ { print $2 }' | tr '\n' ' ')" \
	"05004E0A:0001 B80D0120000000000000000005000000:003A "
inode=$(printf '%s\n' "$out" | awk '$2 == "05004E0A:0001" { print $10 }')
like "with the number that its process has for it" "$out" "^socket:.$inode.\$"
like "and are counted" "$out" '^RAW: inuse 1$'
like "(control) outside there are others" "$(cat /proc/net/raw)" ' 00000000:0001 '

# What is no whole socket: in TIME-WAIT, and before a handshake's end. The host has such ones on the guest's address: at a
# listener of its own there, and as a client of the guest's.
"$socks" ended 10.78.0.5 8190 <"$tmp/host.in" >"$tmp/ended" 2>&1 &
wait_for 20 grep -q ready "$tmp/ended"
hex() { awk -v w="$1" '$1 == w { print $2 }' "$2"; }
table() { awk -v a="$1" '$4 ~ /^0[356]$/ && index($2, a) == 1 { print $2, $3, $4 }' "$2" | sort -u; }
for u in yes no; do
	rm -f "$R"/root/ended* "$R/root/go"
	"$VRUN" -q --userns $u --root "$R" --ip 10.78.0.5 --ip 2001:db8::5 --hide net -- sh -c '
		for at in 4:10.78.0.5 6:2001:db8::5 1:127.0.0.1; do
			mkfifo /tmp/in${at%%:*}; sleep 600 >/tmp/in${at%%:*} &
			socks ended ${at#*:} 8090 </tmp/in${at%%:*} >/root/ended.${at%%:*} &
			while ! grep -q ready /root/ended.${at%%:*} 2>/dev/null; do usleep 20000; done
		done; >/root/ended
		while [ ! -e /root/go ]; do usleep 20000; done
		while [ "$(cat /proc/net/tcp /proc/net/tcp6 | grep -c " 06 00")" -lt 4 ] && [ $((n = n + 1)) -lt 300 ]; do
			usleep 50000; done
		cat /proc/net/tcp >/root/ended.tcp; cat /proc/net/tcp6 >/root/ended.tcp6; cat /proc/net/sockstat >/root/ended.stat' &
	wait_for 20 test -e "$R/root/ended"
	"$net" tcp4 connect 10.78.0.5:8090 name >"$tmp/from"
	cat /proc/net/tcp >"$tmp/outside"
	: >"$R/root/go"
	wait $!
	A=05004E0A A6=B80D0120000000000000000005000000 L=0100007F E=$R/root/ended
	is "userns $u: TIME-WAIT and SYN-RECV show where its server listens, and no client's there" "$(table $A "$E.tcp")" \
		"$(printf '%s\n' "$A:1F9A $A:$(hex server "$E.4") 06" "$A:1F9B $A:$(hex half "$E.4") 03" | sort)"
	is "userns $u: IPv6 too" "$(table $A6 "$E.tcp6")" \
		"$(printf '%s\n' "$A6:1F9A $A6:$(hex server "$E.6") 06" "$A6:1F9B $A6:$(hex half "$E.6") 03" | sort)"
	is "userns $u: on its loopback clients' too" "$(table $L "$E.tcp")" "$(printf '%s\n' "$L:1F9A $L:$(hex server "$E.1") 06" \
		"$L:$(hex client "$E.1") $L:1F9A 06" "$L:1F9B $L:$(hex half "$E.1") 03" | sort)"
	like "userns $u: sockstat counts those in TIME-WAIT" "$(cat "$E.stat")" '^TCP: inuse [0-9]+ orphan 0 tw 4 '
done
like "(control) on the host there are more of that address: at the host's server" "$(table 05004E0A "$tmp/outside")" '05004E0A:1FFE .* 06'
port=$(sed -n 's/.*10\.78\.0\.5:\([0-9]*\).*/\1/p' "$tmp/from")
like "(control) and the host's client of the guest" "$(awk '{ print $2, $3 }' "$tmp/outside")" "05004E0A:$(printf %04X "${port:-0}") 05004E0A:1F9A"

# ICMP datagram sockets, by their owner.
sysctl_net ipv4/ping_group_range "0 2147483647"
"$net" ping4 bind 10.78.0.5:7 sleep 600000 >/dev/null 2>&1 & ping=$!
at_exit "kill $ping 2>/dev/null"
run view --ip 10.78.0.5 --hide net -- sh -c 'net ping4 bind 10.78.0.5:77 sleep 600000 & while ! grep -q : /proc/net/icmp && [ $((n = n + 1)) -lt 200 ]
	do usleep 50000; done; cat /proc/net/icmp'
like "an ICMP socket shows, its own" "$(printf '%s\n' "$out" | awk '/^ +[0-9]+:/ { print $2 }' | tr '\n' ' ')" '^05004E0A:[0-9A-F]+ $'
unlike "and not the host's" "$out" '05004E0A:0007'
like "(control) outside there is another" "$(cat /proc/net/icmp)" ' 05004E0A:0007 '
kill "$ping"

# sock_diag: no way to ask it, and none to end others' connections by it.
for way in send sendmsg write dup one destroy int80 socketcall; do
	[ "$(uname -m)" = x86_64 ] || [ "${way#int}${way#so}" = "$way$way" ] || continue
	run view --ip 10.78.0.5 --hide net -- socks diag $way
	is "sock_diag by $way answers nothing" "$out" ECONNREFUSED
	run view --ip 10.78.0.5 --hide net --userns no -- socks diag $way
	is "sock_diag by $way answers nothing, without a user namespace" "$out" ECONNREFUSED
done
run "$socks" diag send
like "(control) outside it does" "$out" '^[1-9][0-9]*$'
run view --hide net -- socks diag send
is "(control) with --ip none it is the guest's own" "$out" 0

# The tools. The guest's root is the host's tree here.
for tool in "ss -Htlnp" "netstat -ltnp" "lsof -nP -iTCP -sTCP:LISTEN" "busybox netstat -ltn"; do
	command -v "${tool%% *}" >/dev/null || { skip "no ${tool%% *}"; continue; }
	[ "${tool%% *}" != netstat ] || netstat --version 2>&1 | grep -q net-tools || { skip "no netstat -p"; continue; }
	case $tool in
	busybox*) who= ;;
	*) who=socks ;;
	esac
	run "$VRUN" -q --ip 10.78.0.5 --hide net --bind "$socks:/tmp/socks" --tmpfs /tmp -- \
		sh -c "PATH=\$PATH:/usr/local/bin; mkfifo /run/in; sleep 600 >/run/in & /tmp/socks many 1 TCP </run/in >/run/o &
		while ! grep -q ready /run/o; do sleep 0.05; done; $tool 2>&1"
	like "$tool: shows the guest's listener${who:+, and whose it is}" "$out" "10\.78\.0\.5.*$who|$who.*10\.78\.0\.5"
	unlike "$tool: no other, and no complaint" "$out" ":80[89][0-9]|annot|rror"
done

# Lines stay whole while sockets come and go under the reader, in a table of several pages.
secs=2
[ "${VRUN_LONG-}" != 1 ] || secs=30
run view --ip 10.78.0.5 --hide net -- sh -c "ulimit -n 4096; mkfifo /tmp/in; sleep 600 >/tmp/in &
	socks many 300 TCP </tmp/in >/tmp/o & while ! grep -q ready /tmp/o; do usleep 20000; done
	socks churn $((secs + 2)) & socks churn $((secs + 2)) & socks whole $secs & socks whole $secs; wait \$!"
is "two readers while sockets come and go: only whole lines" "$(echo "$out" | head -n 1)" 0 || echo "# $err"

# Once it has run for a moment the supervisor executes itself anew.
run view --ip 10.78.0.5 --hide net -- sh -c 'socks list >/dev/null; usleep 300000; '"$hold" sh 10.78.0.5 -
printf '%s\n' "$out" >"$tmp/out"
part 0 >"$tmp/knows"
part 1 >"$tmp/shown"
is "also after the supervisor's exec" "$(sorted "$tmp/shown")" "$(sorted "$tmp/knows")"
like "(control) there was something" "$(cat "$tmp/shown")" ':8080 '

# --join net: the same sockets and names, made under the joined guest's programs, by whoever asks.
mkfifo "$tmp/first.in" "$tmp/second.in"
sleep 600 >"$tmp/first.in" & keep3=$!
sleep 600 >"$tmp/second.in" & keep4=$!
at_exit "kill $keep3 $keep4 2>/dev/null"
# Landlock of Linux 6.12 keeps abstract names apart from those that it joins; without it that is waived.
view --name first$$ --ip 10.78.0.5 --hide net -- socks many 1 TCP <"$tmp/first.in" >"$tmp/first" 2>&1 & first=$!
wait_for 20 grep -q ready "$tmp/first"
joined() { "$VRUN" -q --root "$R" $abstract "$@"; }
joined --name second$$ --join net=first$$ -- sh -c 'net serve SECOND 600 tcp4:127.0.0.1:75 tcp4:10.78.0.5:76' <"$tmp/second.in" \
	>"$tmp/second" 2>&1 & second=$!
wait_for 20 grep -q '^ready' "$tmp/second"
run joined --join net=first$$ -- sh -c 'net tcp4 bind 10.78.0.5:8800 listen name; net tcp4 bind 10.78.0.6:8800
	net tcp4 bind 0.0.0.0:8801 listen name; net tcp4 connect 127.0.0.1:8081; net tcp4 connect 10.78.0.7:8082 name'
like "--join net: has the joined guest's address, not another, and not the host's loopback" "$(echo "$out" | tr '\n' ' ')" \
	'ok ok ok 10\.78\.0\.5:8800.*ok EADDRNOTAVAIL.*ok ok ok 10\.78\.0\.5:8801.*ok ECONNREFUSED.*ok ok 10\.78\.0\.5:'
run "$net" tcp4 connect 127.0.0.1:8081
like "(control) outside somebody listens there" "$out" 'ok ok'
run "$VRUN" --enter first$$ -- sh -c 'net ask tcp 127.0.0.1:75; socks list; ip -o addr show host0'
like "its server is on the joined guest's loopback" "$out" '^SECOND tcp4:127.0.0.1:75 '
printf '%s\n' "$out" | grep '^tcp.* [1-9][0-9]*$' | sort >"$tmp/in"
run "$VRUN" --enter second$$ -- sh -c 'socks list; ip -o addr show host0'
is "both see both's sockets, and the same address" "$(printf '%s\n' "$out" | grep '^tcp.* [1-9][0-9]*$' | sort)" "$(cat "$tmp/in")"
is "which are three" "$(wc -l <"$tmp/in")" 3
run joined --join net=second$$ -- net ask tcp 127.0.0.1:75
like "--join net of one that has joined: the same network" "$out" '^SECOND '
run joined --explain --join net=first$$ -- true
like "--explain says so" "$out" 'addresses of the guest whose network is joined'
run joined --userns no --cap-add NET_ADMIN --join net=first$$ -- true
is "--userns no --cap-add NET_ADMIN is refused as with --ip" "$status" 125
joined --join net=first$$ -- sh -c 'net tcp4 touch /made1 until /ended bind 10.78.0.6:8800 bind 10.78.0.5:8803 connect 127.0.0.1:8081 >/late1 &
	net tcp4 touch /made2 until /ended connect 10.78.0.7:8082 name >/late2 & wait' & late=$!
wait_for 20 test -e "$R/made1" && wait_for 20 test -e "$R/made2"
ok "the joined guest ends" "$VRUN" --kill first$$
: >"$R/ended"
wait "$first" 2>/dev/null
wait "$late"
like "sockets from before its end are still held to its list" "$(cat "$R/late1" "$R/late2" | tr '\n' ' ')" \
	'EADDRNOTAVAIL ok ECONNREFUSED +ok ok 10\.78\.0\.5:'
run "$VRUN" --enter second$$ -- sh -c 'net tcp4 bind 10.78.0.5:8802; net udp4; net netlink; hostname x && echo named'
like "then the one that joined has no sockets any more, and goes on" "$(echo "$out" | tr '\n' ' ')" '^errno-100 .*errno-100 +ok +named'
run joined --join net=second$$ -- true
is "whom nobody joins" "$status" 125
"$VRUN" --kill second$$
wait "$second" 2>/dev/null
"$VRUN" -q --name direct$$ --root "$R" --ip 10.78.0.5 --hide mount,proc --share abstract -- sleep 600 & direct=$!
wait_for 20 "$VRUN" --status direct$$
run joined --join net=direct$$ -- true
is "a guest with addresses and without --hide net can't be joined" "$status" 125
like "which the message explains" "$err" '^vrun: --join net=direct[0-9]+: .*--hide without net.*--ip'
"$VRUN" --kill direct$$
wait "$direct" 2>/dev/null

kill "$keep1" "$keep2" "$keep3" "$keep4" "$raw"
wait 2>/dev/null
leftovers_none "nothing is left behind"

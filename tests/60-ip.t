# What a guest with addresses on the host's stack sees of the network.
HOST_ADDRS="10.1.2.3/24 10.1.2.4/24 10.1.2.5/24 10.7.0.1/16 10.7.0.2/16 2001:db8::3/64 2001:db8::4/64 2001:db8:7::1/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
ip route add 224.0.0.0/4 dev host0
sysctl_net ipv4/ping_group_range "0 2147483647"
refusal=EADDRNOTAVAIL

# --- the words ---------------------------------------------------------------

bad() {
	exits "$1: is refused" 125 guest $2 -- true
	like "$1: the error says why" "$err" "$3"
}
bad "an address that the host doesn't have" "--ip 10.1.9.9" "^vrun: --ip 10.1.9.9: the host has no such address"
bad "a broadcast address" "--ip 10.1.2.255" "^vrun: --ip 10.1.2.255: a broadcast address"
bad "a device that isn't there" "--ip 10.1.9.9@nosuch" "nosuch.*No such device"
bad "a name" "--ip localhost" "not a numeric address"
bad "the loopback" "--ip 127.0.0.1" "see --loopback"
bad "none and an address" "--ip none --ip 10.1.2.3" "none and host"
bad "packet sockets and an address" "--ip 10.1.2.3 --userns no --cap-add NET_RAW" "NET_RAW"
bad "a peer rule without an address" "--connect-deny 10.0.0.0/8" "connect-deny"
exits "a socket as stdin is refused" 125 "$net" with-socket 0 "$VRUN" -q --root "$R" $abstract --ip 10.1.2.3 -- true
like "the error names the way" "$err" "keep-fd 0"
ok "with --keep-fd it passes" "$net" with-socket 5 "$VRUN" -q --root "$R" $abstract --ip 10.1.2.3 --keep-fd 5 -- true
ok "on 0, too" "$net" with-socket 0 "$VRUN" -q --root "$R" $abstract --ip 10.1.2.3 --keep-fd 0 -- true
ok "--ip-later takes an address that is not there" guest --ip 10.1.9.9 --ip-later -- true

# --- none --------------------------------------------------------------------

says "a guest without --ip has 127.0.0.1 and ::1" "ok ok ok ok" -- net tcp4 bind 127.0.0.1:80 tcp6 bind '[::1]:80'
says "and nothing else" "ok EADDRNOTAVAIL ok ENETUNREACH" -- net tcp4 bind 10.1.2.3:0 tcp4 connect 10.1.2.3:80

# --- one address -------------------------------------------------------------

for u in yes no; do
	g="--userns $u --ip 10.1.2.3"
	says "userns $u: a wildcard is the guest's address" "ok ok 10.1.2.3:8080" $g -- net tcp4 bind 0.0.0.0:8080 name
	says "userns $u: for UDP, too" "ok ok 10.1.2.3:8080" $g -- net udp4 bind 0.0.0.0:8080 name
	says "userns $u: its own address" "ok ok 10.1.2.3:8080" $g -- net tcp4 bind 10.1.2.3:8080 name
	says "userns $u: another address of the host" "ok $refusal" $g -- net tcp4 bind 10.1.2.4:8080
	says "userns $u: port 80" "ok ok" $g -- net tcp4 bind 0.0.0.0:80
	says "userns $u: no IPv6 at all" "EAFNOSUPPORT EAFNOSUPPORT" $g -- net tcp6 udp6
	says "userns $u: 127.0.0.1 is shown as such" "ok ok 127.0.0.1:81" $g -- net tcp4 bind 127.0.0.1:81 name
	says "userns $u: and no other loopback is there" "ok $refusal" $g -- net tcp4 bind 127.0.0.2:81
done
says "without NET_BIND_SERVICE, port 80 is not" "ok EACCES" --userns no --cap-drop NET_BIND_SERVICE --ip 10.1.2.3 -- net tcp4 bind 0.0.0.0:80
says "nor in a user namespace" "ok EACCES" --userns yes --cap-drop NET_BIND_SERVICE --ip 10.1.2.3 -- net tcp4 bind 0.0.0.0:80
says "a secondary address" "ok ok 10.1.2.5:80" --ip 10.1.2.5 -- net tcp4 bind 0.0.0.0:80 name

serve_host "$tmp/host" 2400 tcp4:0.0.0.0:7000 'tcp6:[::]:7006' udp4:10.1.2.4:7001 tcp4:127.0.0.1:7002 udp4:127.0.0.1:7003 \
	'udp6:[2001:db8::4]:7004' udp4:0.0.0.0:7007 'udp6:[::]:7008' 'tcp6:[::]:7016'
host_server=$!
says "connect: the peer sees the guest's address" "HOST tcp4:0.0.0.0:7000 10.1.2.4:7000 10.1.2.5:" \
	--ip 10.1.2.5 -- sh -c "net ask tcp 10.1.2.4:7000 | sed 's/[0-9]* *$//'"
says "sendto without bind: the same" "HOST udp4:10.1.2.4:7001 10.1.2.4:7001 10.1.2.5:" \
	--ip 10.1.2.5 -- sh -c "net ask udp 10.1.2.4:7001 | sed 's/[0-9]* *$//'"
says "connect on UDP" "ok ok 10.1.2.5:" --ip 10.1.2.5 -- sh -c "net udp4 connect 10.1.2.4:7001 name | sed 's/[0-9]* *$//'"
says "sendto, then connect on the same socket" "ok ok ok" --ip 10.1.2.5 -- net udp4 send 10.1.2.4:7001 connect 10.1.2.4:7001
for o in "--ip 10.1.2.5" "--ip 10.1.2.5 --ip 2001:db8::3" "--ip 10.1.2.5 --ip 10.7.0.1 --userns no"; do
	says "UDP, bind to port 0 of the wildcard, then connect, $o" "ok ok ok ok 10.1.2.4:7001" $o -- \
		net udp4 bind 0.0.0.0:0 connect 10.1.2.4:7001 sendc recv
	says "or then sendto, here and there, $o" "ok ok ok 10.1.2.4:7001 ok 10.1.2.4:7001" $o -- \
		net udp4 bind 0.0.0.0:0 send 10.1.2.4:7001 recv send 10.1.2.4:7001 recv
done
for o in "--ip 2001:db8::3" "--ip 10.1.2.5 --ip 2001:db8::3" "--ip 2001:db8::3 --ip 2001:db8:7::1 --userns no"; do
	says "the same on IPv6, V6ONLY (as dig does), $o" "ok ok ok ok [2001:db8::4]:7004" $o -- \
		net v6only-udp bind '[::]:0' connect '[2001:db8::4]:7004' sendc recv
	says "and sendto, $o" "ok ok ok [2001:db8::4]:7004" $o -- net v6only-udp bind '[::]:0' send '[2001:db8::4]:7004' recv
done
says "connect to the loopback and then elsewhere" "ok ok ok ok 10.1.2.5:" --ip 10.1.2.5 -- \
	sh -c "net udp4 connect 127.0.0.1:9 unspec connect 10.1.2.4:7001 name | sed 's/[0-9]* *$//'"
says "bind to no port, then connect" "ok ok ok ok 10.1.2.5:" --ip 10.1.2.5 -- \
	sh -c "net tcp4 set noport bind 0.0.0.0:0 connect 10.1.2.4:7000 name | sed 's/[0-9]* *$//'"
says "the host's 127.0.0.1 services are out of reach" "ECONNREFUSED" --ip 10.1.2.3 -- net ask tcp 127.0.0.1:7002
says "by 0.0.0.0, too" "ok ECONNREFUSED" --ip 10.1.2.3 -- net tcp4 connect 0.0.0.0:7002
is "(outside: they are there)" "$(ask tcp 127.0.0.1:7002 | cut -d' ' -f1)" HOST
# Wildcards of the host's: 7000 and 7007 of IPv4, 7006 and 7008 of both.
is "(outside: wildcards listen on the loopback, IPv4, dual stack and IPv6)" "$(for q in "tcp 127.0.0.1:7000" "tcp 127.0.0.1:7006" \
	"tcp [::1]:7006" "udp 127.0.0.1:7007" "udp 127.0.0.1:7008" "udp [::1]:7008" "tcp 127.9.9.8:7000" "tcp 127.9.9.9:7000"; do
	# shellcheck disable=SC2086
	ask $q | cut -d' ' -f1
done | tr '\n' ' ')" "HOST HOST HOST HOST HOST HOST HOST HOST "
for g in "--ip 10.1.2.3 --userns no --hide mount,proc" "--ip 10.1.2.3 --ip 2001:db8::3"; do
	says "a wildcard of the host's isn't on the guest's 127.0.0.1, $g" "ok ECONNREFUSED ok ECONNREFUSED ok ECONNREFUSED" $g -- \
		net tcp4 connect 127.0.0.1:7000 tcp4 connect 127.0.0.1:7006 tcp4 connect 0.0.0.0:7000
	says "but a listener of its own is, from when it is there, $g" "ok ECONNREFUSED ok ok ok ok ok ok" $g -- \
		net tcp4 connect 127.0.0.1:7000 tcp4 bind 127.0.0.1:7000 listen tcp4 connect 127.0.0.1:7000 sendc
	says "on a port that the host has for both, too, $g" "ok ok ok ok ok" $g -- \
		net tcp4 bind 127.0.0.1:7006 listen tcp4 connect 127.0.0.1:7006
	says "UDP isn't sent to the host's wildcards, $g" "ok EPERM ok EPERM ok ok EPERM" $g -- \
		net udp4 send 127.0.0.1:7007 udp4 send 127.0.0.1:7008 udp4 connect 127.0.0.1:7007 sendc
	says "what nobody has refuses, as outside, $g" "ok ok ok ECONNREFUSED" $g -- \
		net udp4 connect 127.0.0.1:7998 sendc refused sendc
	says "the loopback is no source for other addresses than its own, $g" "ok ok EPERM ok ok EPERM ok ok ECONNREFUSED ok ok EPERM" $g -- \
		net udp4 bind 127.0.0.1:0 send 10.1.2.4:7001 tcp4 bind 127.0.0.1:0 connect 10.1.2.4:7000 \
		tcp4 bind 127.0.0.1:0 connect 10.1.2.3:7000 udp4 bind 127.0.0.1:0 send 10.1.2.3:7007
	# shellcheck disable=SC2016
	says "a listener that was never bound is on the loopback, $g" "ok ok" $g -- sh -c 'net tcp4 listen name accept >/tmp/o &
		until grep -q "0\.0\.0\.0:" /tmp/o 2>/dev/null; do sleep 0.1; done
		net tcp4 connect "127.0.0.1:$(sed "s/.*0\.0\.0\.0:\([0-9]*\).*/\1/" /tmp/o)"'
done
host "127.0.0.1 is a source for all that is the host's" "ok ok ok ok ok ok" udp4 bind 127.0.0.1:0 send 10.1.2.4:7001 \
	tcp4 bind 127.0.0.1:0 connect 10.1.2.4:7000
g="--ip 10.1.2.3 --ip 2001:db8::3"
says "nor on its ::1" "ok ECONNREFUSED ok EPERM" $g -- net tcp6 connect '[::1]:7006' udp6 send '[::1]:7008'
says "where its own listener can be" "ok ok [::1]:7006 ok ok ok" $g -- \
	sh -c 'net tcp6 bind "[::1]:7006" name listen tcp6 connect "[::1]:7006"'
says "::1 is no source for others" "ok ok EPERM ok ok EPERM" $g -- \
	net udp6 bind '[::1]:0' send '[2001:db8::4]:7004' tcp6 bind '[::1]:0' connect '[2001:db8::4]:7006'
guest --loopback 127.9.9.9 --ip 10.1.2.5 -- net tcp4 bind 127.0.0.1:7013 listen tcp4 listen name accept >"$tmp/bare" 2>&1 &
bare=$!
wait_for 10 grep -q 0.0.0.0: "$tmp/bare"
port=$(sed 's/.*0\.0\.0\.0:\([0-9]*\).*/\1/' "$tmp/bare")
is "a process of the host finds at a guest's loopback address whom the guest has there, or nobody" \
	"$("$net" tcp4 connect 127.9.9.9:7013 tcp4 connect 127.9.9.9:7000)" "ok ok ok ECONNREFUSED "
is "another guest's wildcard is nobody's loopback but its own" "$(guest --ip 10.1.2.3 -- net ask tcp "127.0.0.1:$port") $(
	"$net" tcp4 connect "127.9.9.9:$port")" "ECONNREFUSED  ok ok "
wait $bare
says "--loopback host reaches them" "HOST" --ip 10.1.2.3 --loopback host -- sh -c 'net ask tcp 127.0.0.1:7002 | cut -d" " -f1'
says "and those on UDP" "HOST" --ip 10.1.2.3 --loopback host -- sh -c 'net ask udp 127.0.0.1:7003 | cut -d" " -f1'
says "--loopback host is not another guest's loopback" "EPERM" --ip 10.1.2.3 --loopback host -- net ask tcp 127.5.5.1:7002
says "a closed port of one's own refuses" "ECONNREFUSED" --ip 10.1.2.3 -- net ask tcp 10.1.2.3:7999

# --- the loopback ------------------------------------------------------------

# shellcheck disable=SC2016
loop='net serve L 600 "$1" >/tmp/s & while ! grep -q ready /tmp/s 2>/dev/null; do sleep 0.1; done; net ask "$2" "$3"'
says "TCP over 127.0.0.1: all names are 127.0.0.1" "L tcp4:127.0.0.1:90 127.0.0.1:90 127.0.0.1:" \
	--ip 10.1.2.3 -- sh -c "($loop) | sed 's/[0-9]* *\$//'" sh tcp4:127.0.0.1:90 tcp 127.0.0.1:90
says "UDP over 127.0.0.1" "L udp4:127.0.0.1:90 127.0.0.1:90 127.0.0.1:" \
	--ip 10.1.2.3 -- sh -c "($loop) | sed 's/[0-9]* *\$//'" sh udp4:127.0.0.1:90 udp 127.0.0.1:90
says "a wildcard listener is on 127.0.0.1, too" "L tcp4:0.0.0.0:90 127.0.0.1:90 127.0.0.1:" \
	--ip 10.1.2.3 -- sh -c "($loop) | sed 's/[0-9]* *\$//'" sh tcp4:0.0.0.0:90 tcp 127.0.0.1:90
says "a wildcard UDP server is" "L udp4:0.0.0.0:90 10.1.2.3:90 127.0.0.1:" \
	--ip 10.1.2.3 -- sh -c "($loop) | sed 's/[0-9]* *\$//'" sh udp4:0.0.0.0:90 udp 127.0.0.1:90
says "and with several addresses" "L udp4:0.0.0.0:90 0.0.0.0:90 127.0.0.1:" \
	--ip 10.1.2.3 --ip 10.1.2.4 -- sh -c "($loop) | sed 's/[0-9]* *\$//'" sh udp4:0.0.0.0:90 udp 127.0.0.1:90
says "::1" "L tcp6:[::1]:90 [::1]:90 [::1]:" --ip 10.1.2.3 --ip 2001:db8::3 -- \
	sh -c "($loop) | sed 's/[0-9]* *\$//'" sh 'tcp6:[::1]:90' tcp '[::1]:90'
says "UDP over ::1" "L udp6:[::1]:90 [::1]:90 [::1]:" --ip 10.1.2.3 --ip 2001:db8::3 -- \
	sh -c "($loop) | sed 's/[0-9]* *\$//'" sh 'udp6:[::1]:90' udp '[::1]:90'
says "by ::1 a wildcard UDP server is reached, where one IPv6 address is all that the guest has" "L udp6:[::]:90 [2001:db8::3]:90 [::1]:" \
	--ip 2001:db8::3 -- sh -c "($loop) | sed 's/[0-9]* *\$//'" sh 'udp6:[::]:90' udp '[::1]:90'
says "[::] answers on 127.0.0.1" "L tcp6:[::]:90 [::ffff:127.0.0.1]:90 [::ffff:127.0.0.1]:" --ip 10.1.2.3 --ip 2001:db8::3 -- \
	sh -c "($loop) | sed 's/[0-9]* *\$//'" sh 'tcp6:[::]:90' tcp '127.0.0.1:90'
says "--loopback ADDR is still 127.0.0.1 within" "ok ok 127.0.0.1:90" --ip 10.1.2.3 --loopback 127.9.9.9 -- net tcp4 bind 127.0.0.1:90 name

# --- IPv6 and several addresses ----------------------------------------------

d="--ip 10.1.2.3 --ip 2001:db8::3"
says "a wildcard of several addresses is shown as one" "ok ok 0.0.0.0:90" $d -- net tcp4 bind 0.0.0.0:90 name
says "[::]" "ok ok [::]:90" $d -- net tcp6 bind '[::]:90' name
says "[::], V6ONLY" "ok ok [::]:90" $d -- net v6only bind '[::]:90' name
host "what a thread binds" "ok ok 0.0.0.0:91 0.0.0.0:0" udp4 thread-bind 0.0.0.0:91 name
says "what a thread with descriptors of its own binds is its own" "ok ok 0.0.0.0:91 0.0.0.0:0" \
	$d --ip 10.1.2.5 -- net udp4 thread-bind 0.0.0.0:91 name
says "both at once, as nginx does" "ok ok ok ok ok ok" $d -- sh -c 'net tcp4 bind 0.0.0.0:90 listen v6only bind [::]:90 listen'
says "a mapped wildcard" "ok ok [::ffff:0.0.0.0]:90" $d -- net tcp6 bind '[::ffff:0.0.0.0]:90' name
says "a mapped address" "ok ok [::ffff:10.1.2.3]:90" $d -- net tcp6 bind '[::ffff:10.1.2.3]:90' name
says "a foreign mapped address" "ok $refusal" $d -- net tcp6 bind '[::ffff:10.1.2.4]:90'
says "a foreign IPv6 address" "ok $refusal" $d -- net tcp6 bind '[2001:db8::4]:90'
says "an IPv6-only guest has no IPv4" "EAFNOSUPPORT ok ok" --ip 2001:db8::3 -- net tcp4 tcp6 bind '[::]:90'
says "connect, IPv6: the peer sees the guest's address" "HOST tcp6:[::]:7006 [2001:db8::3]:7006 [2001:db8::4]:" \
	--ip 2001:db8::4 -- sh -c "net ask tcp [2001:db8::3]:7006 | sed 's/[0-9]* *$//'"
says "sendto, IPv6" "HOST udp6:[2001:db8::4]:7004 [2001:db8::4]:7004 [2001:db8::3]:" \
	--ip 2001:db8::3 -- sh -c "net ask udp [2001:db8::4]:7004 | sed 's/[0-9]* *$//'"
says "sendto, then connect, IPv6" "ok ok ok" --ip 2001:db8::3 -- net udp6 send '[2001:db8::4]:7004' connect '[2001:db8::4]:7004'
says "the source is the address whose network holds the peer" "ok ok 10.7.0.1:" --ip 10.1.2.3 --ip 10.7.0.1 -- \
	sh -c "net tcp4 connect 10.7.0.2:7000 name | sed 's/[0-9]* *$//'"
says "for UDP without bind, too" "ok HOST" --ip 10.7.0.1 --ip 10.1.2.3 -- sh -c "net udp4 | tr -d '\n'; net ask udp 10.1.2.4:7001 | cut -d' ' -f1"
says "else the first" "ok ok 10.7.0.1:" --ip 10.7.0.1/32 --ip 10.1.2.3/32 -- \
	sh -c "net tcp4 connect 10.1.2.4:7000 name | sed 's/[0-9]* *$//'"
says "for IPv6, too" "ok ok [2001:db8::3]:" --ip 2001:db8:7::1 --ip 2001:db8::3 -- \
	sh -c "net tcp6 connect [2001:db8::4]:7006 name | sed 's/[0-9]* *$//'"
says "a range" "ok ok ok ok ok $refusal" --ip 10.1.2.3-10.1.2.4 -- net tcp4 bind 10.1.2.3:0 tcp4 bind 10.1.2.4:0 tcp4 bind 10.1.2.5:0
says "a listening wildcard and one of its addresses collide" "ok ok ok ok EADDRINUSE" $d -- \
	net tcp4 bind 0.0.0.0:90 listen tcp4 bind 10.1.2.3:90

# --- beside the host ---------------------------------------------------------

serve_guest "$tmp/g1" 1000 G --name served$$ --ip 10.1.2.3 --ip 10.1.2.4 --ip 2001:db8::3 -- tcp4:0.0.0.0:7000 'tcp6:[::]:7006'
name=$("$net" bpf-name | tr -d ' ')
like "(the programs have a name)" "$name" '^vr[0-9a-f]{6}$'
unlike "a port that the host has by wildcard is free for a guest" "$(cat "$tmp/g1")" EADDRINUSE
like "it is shown as asked for" "$(cat "$tmp/g1")" "tcp4:0.0.0.0:7000 ok 0.0.0.0:7000"
is "the guest's address is the guest's" "$(ask tcp 10.1.2.3:7000 | cut -d' ' -f1-3)" "G tcp4:0.0.0.0:7000 10.1.2.3:7000"
is "its other, too" "$(ask tcp 10.1.2.4:7000 | cut -d' ' -f1-3)" "G tcp4:0.0.0.0:7000 10.1.2.4:7000"
is "the others are the host's" "$(ask tcp 10.1.2.5:7000 | cut -d' ' -f1)" HOST
is "127.0.0.1 is the host's" "$(ask tcp 127.0.0.1:7000 | cut -d' ' -f1)" HOST
is "the same for dual stack" "$(ask tcp '[2001:db8::3]:7006' | cut -d' ' -f1) $(ask tcp 10.1.2.3:7006 | cut -d' ' -f1) \
$(ask tcp '[2001:db8::4]:7006' | cut -d' ' -f1) $(ask tcp 10.1.2.5:7006 | cut -d' ' -f1)" "G G HOST HOST"
"$VRUN" --enter served$$ -- net serve V6 900 'tcp6:[2001:db8::3]:7016' >"$tmp/v6" 2>&1 &
wait_for 10 grep -q '^ready' "$tmp/v6"
is "and for one IPv6 address beside the host's wildcard" "$(ask tcp '[2001:db8::3]:7016' | cut -d' ' -f1,3) $(
	ask tcp '[2001:db8::4]:7016' | cut -d' ' -f1)" "V6 [2001:db8::3]:7016 HOST"

# --- peers -------------------------------------------------------------------

p="--ip 10.1.2.3 --ip 2001:db8::3"
says "a denied network" "EPERM" $p --connect-deny 10.1.2.4 -- net ask tcp 10.1.2.4:7000
says "UDP to it" "EPERM" $p --connect-deny 10.1.2.0/24 -- net ask udp 10.1.2.4:7001
says "as an IPv4-mapped address" "ok EPERM" $p --connect-deny 10.1.2.4 -- net tcp6 connect '[::ffff:10.1.2.4]:7000'
says "another peer passes" "ok ok" $p --connect-deny 10.1.2.4 -- net tcp4 connect 10.1.2.5:7000
says "a denied port" "EPERM" $p --connect-deny 10.1.2.0/24:7000 -- net ask tcp 10.1.2.4:7000
says "another port passes" "HOST" $p --connect-deny 10.1.2.0/24:7000 -- sh -c "net ask udp 10.1.2.4:7001 | cut -d' ' -f1"
says "once there is an allow, the rest is denied" "ok ok ok EPERM" $p --connect-allow 10.1.2.5 -- \
	net tcp4 connect 10.1.2.5:7000 tcp4 connect 10.1.2.4:7000
says "IPv6, too" "ok EPERM" $p --connect-allow 10.1.2.5 -- net tcp6 connect '[2001:db8::4]:7006'
says "deny beats allow" "ok EPERM ok ok" $p --connect-allow 10.1.2.0/24 --connect-deny 10.1.2.4 -- \
	net tcp4 connect 10.1.2.4:7000 tcp4 connect 10.1.2.5:7000
says "IPv6 by network and port" "ok EPERM ok ECONNREFUSED" $p --connect-deny '[2001:db8::/64]:7006' -- \
	net tcp6 connect '[2001:db8::4]:7006' tcp6 connect '[2001:db8::4]:7007'
says "own addresses and the loopback pass" "ok ECONNREFUSED ok ECONNREFUSED" $p --connect-deny 0.0.0.0/0 -- \
	net tcp4 connect 10.1.2.3:1 tcp4 connect 127.0.0.1:1
says "a resolver on the host's loopback can be had and all else denied" "HOST EPERM" --ip 10.1.2.3 --loopback host \
	--connect-deny 0.0.0.0/0 -- sh -c "net ask udp 127.0.0.1:7003 | cut -d' ' -f1 | tr '\n' ' '; net ask tcp 10.1.2.4:7000"

# --- ping, multicast ---------------------------------------------------------

for u in yes no; do
	g="--userns $u --ip 10.1.2.5 --ip 2001:db8::4"
	says "userns $u: a raw ICMP socket sends from the guest's address" "ok ok 10.1.2.3:0" $g -- net raw4 1 echo 10.1.2.3 recv
	says "userns $u: a ping socket, too" "ok ok 10.1.2.3:0" $g -- net ping4 echo 10.1.2.3 recv
	says "userns $u: a raw ICMPv6 socket" "ok" $g -- net raw6 58
	says "userns $u: without the ccap there is none" "EPERM" $g --ccap none -- net raw4 1
	says "userns $u: a user without the capability" "EPERM" $g -u user -- net raw4 1
	says "userns $u: may have a ping socket" "ok ok 10.1.2.3:0" $g -u user -- net ping4 echo 10.1.2.3 recv
	says "userns $u: other raw sockets are refused" "EPERM EPERM" $g -- net raw4 6 raw4 255
done
says "multicast is refused" "ok EPERM ok EPERM" --ip 10.1.2.3 -- net udp4 send 224.0.0.251:5353 udp4 connect 224.0.0.251:5353
says "broadcast is" "ok ok EPERM" --ip 10.1.2.3 -- net udp4 set broadcast send 255.255.255.255:9
says "a network's broadcast is" "ok ok EPERM" --ip 10.1.2.3 -- net udp4 set broadcast send 10.1.2.255:9
says "multicast over IPv6 is" "ok EPERM" --ip 2001:db8::3 -- net udp6 send '[ff02::1%host0]:9'
m="--ip 10.1.2.3 --ip 2001:db8::3 --ccap raw_icmp,multicast"
says "--ccap multicast gives them" "ok ok ok ok ok ok" $m -- net udp4 join 224.0.0.251 10.1.2.3 send 224.0.0.251:5353 \
	udp4 set broadcast send 10.1.2.255:9
host "all that is possible" "ok ok ok ok ok" udp4 send 224.0.0.251:5353 udp4 set broadcast send 10.1.2.255:9

# --- abstract UNIX sockets ---------------------------------------------------

if [ -z "$abstract" ]; then
	"$net" abstract-listen vrun-test sleep 600000 >/dev/null &
	listener=$!
	at_exit "kill $listener 2>/dev/null"
	wait_for 10 sh -c "'$net' abstract vrun-test | grep -q '^ok'"
	host "a host's abstract socket" ok abstract vrun-test
	for mode in "--ip 10.1.2.3 --hide mount,proc" "--ip host"; do
		says "$mode: the host's abstract sockets are out of reach" EPERM $mode -- net abstract vrun-test
		says "$mode: the guest's own work" "ok ok" $mode -- net abstract-listen own abstract own
		says "$mode: --share abstract waives that" ok $mode --share abstract -- net abstract vrun-test
	done
	says "--ip none has names of its own" ECONNREFUSED -- net abstract vrun-test
	says "--ip ADDR, too, behind its view of the network" ECONNREFUSED --ip 10.1.2.3 -- net abstract vrun-test
else
	abstract=
	exits "a kernel that can't keep abstract sockets apart refuses" 125 guest --ip 10.1.2.3 --hide mount,proc -- true
	like "and names the waiver" "$err" "share abstract"
	abstract="--share abstract"
fi

# --- a running guest ---------------------------------------------------------

guest --name moving$$ --ip 10.1.2.3 -- sh -c 'net tcp4 bind 0.0.0.0:7010 listen udp4 bind 10.1.2.3:7011 send 10.1.2.5:9 touch /sent until /moved \
	send 10.1.2.5:9 tcp4 bind 10.1.2.3:0 tcp4 bind 10.1.2.4:0' >"$tmp/moving" 2>&1 &
moving=$!
serve_guest "$tmp/wild" 1000 W --name wild$$ --ip 10.1.2.3 --ip 10.7.0.1 -- tcp4:0.0.0.0:7012
wait_for 10 test -e "$R/sent"
ok "--set --ip replaces the list" "$VRUN" --set moving$$ --ip 10.1.2.4
like "--status shows it" "$("$VRUN" --status moving$$)" "addresses *10.1.2.4$"
: >"$R/moved"
ok "a guest's wildcard listener" "$VRUN" --set wild$$ --ip 10.1.2.3 --ip 10.7.0.2
is "serves an address that it was given since" "$(ask tcp 10.7.0.2:7012 | cut -d' ' -f1)" W
isnt "and no more the one that was taken" "$(ask tcp 10.7.0.1:7012 | cut -d' ' -f1)" W
exits "--set --ip none is an error" 125 "$VRUN" --set wild$$ --ip none
exits "--set --ip-later without addresses is one" 125 "$VRUN" --set wild$$ --ip-later
guest --name peers$$ --ip 10.1.2.3 --connect-allow 10.1.2.4:7000 --connect-allow 10.1.2.5 -- sleep 600 &
peers=$!
wait_for 10 sh -c "'$VRUN' -q --list | grep -qx peers$$"
reached() { "$VRUN" --enter peers$$ -- net tcp4 connect 10.1.2.4:7000 tcp4 connect 10.1.2.5:7001 tcp4 connect 10.1.2.4:7001; }
is "a guest that may reach two peers" "$(reached)" "ok ok ok ECONNREFUSED ok EPERM "
ok "--set --connect-deny of one of them" "$VRUN" --set peers$$ --connect-deny 10.1.2.5
is "leaves the list of those it may reach, and all others denied" "$(reached)" "ok ok ok EPERM ok EPERM "
ok "--set --connect-allow" "$VRUN" --set peers$$ --connect-allow 10.1.2.0/24
is "replaces that list, and leaves the one of those denied" "$(reached)" "ok ok ok EPERM ok ECONNREFUSED "
ok "IPv6 and a port" "$VRUN" --set peers$$ --connect-deny '[2001:db8:5::/48]:80' --connect-deny 10.1.2.5
is "--status tells both lists" "$("$VRUN" --status peers$$ | grep connect- | tr -s ' ' | tr '\n' ' ')" \
	" connect-deny 10.1.2.5/32  connect-allow 10.1.2.0/24  connect-deny [2001:db8:5::/48]:80 "
ok "--set --connect-deny none" "$VRUN" --set peers$$ --connect-deny none
is "empties it" "$(reached)" "ok ok ok ECONNREFUSED ok ECONNREFUSED "
exits "more peers than fit, with those that stay, are an error" 125 "$VRUN" --set peers$$ --connect-deny 10.2.0.1 \
	--connect-deny 10.2.0.2 --connect-deny 10.2.0.3 --connect-deny 10.2.0.4 --connect-deny 10.2.0.5 \
	--connect-deny 10.2.0.6 --connect-deny 10.2.0.7 --connect-deny 10.2.0.8
is "and change nothing" "$(reached)" "ok ok ok ECONNREFUSED ok ECONNREFUSED "
"$VRUN" --kill peers$$
wait $peers 2>/dev/null
wait $moving
is "a socket on a removed address can't send; bind obeys the new list" "$(cat "$tmp/moving")" \
	"ok ok ok ok ok ok EPERM ok $refusal ok ok "
run guest --status-fd 2 --ip 10.1.2.3 -- net udp4 bind 10.1.2.4:0 send 10.1.2.5:9 tcp4 bind 10.1.2.4:0 udp4 send 224.0.0.1:9
like "bytes and denials are in the exit line" "$err" '"net_tx_bytes":29,"denied_binds":2,"denied_connects":1'

# --- addresses on devices ----------------------------------------------------

here() { ip -o addr show dev host0 | grep -c " $1/"; }
says "@DEV puts the address on the device" "10.1.2.77/24" --ip 10.1.2.77/24@host0 -- \
	sh -c "net tcp4 bind 10.1.2.77:0 >/dev/null && ip addr show dev host0 2>/dev/null | awk '/10.1.2.77/ { print \$2 }'"
is "and takes it away at the end" "$(here 10.1.2.77)" 0
ok "one that was there" guest --ip 10.1.2.3@host0 -- true
is "stays" "$(here 10.1.2.3)" 1
ok "IPv6, which waits for duplicate address detection" guest --ip 2001:db8::77/64@host0 -- \
	sh -c 'case $(net tcp6 bind "[2001:db8::77]:0") in "ok ok "*) ;; *) exit 1 ;; esac'
is "is taken away, too" "$(here 2001:db8::77)" 0
guest --name first$$ --ip 10.3.3.1/24@host0 -- sleep 600 &
wait_for 10 sh -c "'$VRUN' -q --list | grep -qx first$$"
guest --name second$$ --ip 10.3.3.2/24@host0 -- sleep 600 &
second=$!
wait_for 10 sh -c "'$VRUN' -q --list | grep -qx second$$"
ok "of two guests in one network" "$VRUN" --kill first$$
wait_for 5 sh -c '! ip addr show dev host0 | grep -q 10.3.3.1/'
is "the primary address goes, the other stays" "$(here 10.3.3.1) $(here 10.3.3.2)" "0 1"
supervisor=$("$VRUN" --status second$$ | awk '$1 == "supervisor" { print $2 }')
init=$("$VRUN" --status second$$ | awk '$1 == "init" { print $2 }')
kill -KILL "$supervisor"
wait_for 10 sh -c "! kill -0 $init"
wait $second    # nobody is dead before its supervisor is
# On a machine with more guests any vrun may have been the next one: it is there or gone already, never later.
unshare --net "$VRUN" --list >/dev/null
is "the next vrun command takes it away, even from another network" "$(here 10.3.3.2)" 0

run "$VRUN" --explain -v --ip 10.1.2.3 $abstract -- true
is "--explain -v shows a guest's programs: those for IPv4, and the listeners' two" "$(echo "$out" |
	sed -n "s/^program '\(.*\)':.*/\1/p" | tr '\n' ' ')" \
	"create bind4 conn4 send4 recv4 peer4 name4 setopt egress ingres listen lookup "

# --- nothing left ------------------------------------------------------------

for g in served$$ wild$$; do "$VRUN" -q --kill $g; done
kill $host_server ${listener-}
wait
"$VRUN" --list >/dev/null
is "no guest's ::1 is left on the host's lo" "$(ip -6 addr show dev lo | grep -c fd76)" 0
wait_for 10 sh -c "[ \"\$('$net' bpf $name)\" = '0 0 0 ' ]"
is "no program, map or link is left" "$("$net" bpf "$name")" "0 0 0 "

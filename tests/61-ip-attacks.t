# What root in a guest may try to get at another address than its own 10.1.2.3 and 2001:db8::3; the host has
# 10.1.2.4 and .5, too. Each line is tried outside first: there it works, so the attempt is a real one.
#
# Where the other ways are tried, which act on the guest's own addresses only: wildcards and getsockname, the source
# of connect and sendto, ports below 1024, multicast groups, peers, abstract names: 60-ip.t. Two guests and the host on
# one port, by wildcard: 62-ip-services.t. Interfaces, sockets and /proc/net of others: 72-hide-net.t. Sockets of a
# process that was put into the cgroup, filters after a death: at the end of this file, and 65-net-death.t.
HOST_ADDRS="10.1.2.3/24 10.1.2.4/24 10.1.2.5/24 2001:db8::3/64 2001:db8::4/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
sysctl_net ipv4/ping_group_range "0 2147483647"
ip route add 224.0.0.0/4 dev host0
"$net" serve HOST 1000 tcp4:10.1.2.4:7000 tcp4:0.0.0.0:7001 udp4:10.1.2.4:7000 'tcp6:[2001:db8::4]:7000' tcp4:127.0.0.1:7002 \
	udp4:127.0.0.1:7002 >"$tmp/host" &
at_exit "kill $! 2>/dev/null"
wait_for 10 grep -q ready "$tmp/host"
N=EADDRNOTAVAIL

# try SENTENCE OUTSIDE INSIDE OP...: in every kind of guest; emulated, where that takes minutes, in two by turns
kinds="--userns_yes --userns_no_--seccomp_none --userns_no --userns_yes_--seccomp_none_--ccap_userns,raw_icmp"
turn=0
try() {
	_what=$1 _out=$2 _in=$3
	shift 3
	host "$_what" "$_out" "$@"
	turn=$(((turn + 1) % 2))
	_kinds=$kinds
	[ -z "$slow" ] || _kinds=$(echo "$kinds" | cut -d ' ' -f $((turn + 1)))
	for _g in $_kinds; do
		_g=$(echo "$_g" | tr _ ' ' | sed 's/raw icmp/raw_icmp/')
		# shellcheck disable=SC2086
		says "$_what, $_g" "$_in" $_g --ip 10.1.2.3 --ip 2001:db8::3 -- net "$@"
	done
}

try "bind, IPv4" "ok ok" "ok $N" tcp4 bind 10.1.2.4:0
try "bind, UDP" "ok ok" "ok $N" udp4 bind 10.1.2.4:0
try "bind, IPv6" "ok ok" "ok $N" tcp6 bind '[2001:db8::4]:0'
try "bind, IPv4-mapped" "ok ok" "ok $N" tcp6 bind '[::ffff:10.1.2.4]:0'
try "bind, a loopback of the host" "ok ok" "ok $N" tcp4 bind 127.0.0.9:0
try "bind, another guest's loopback" "ok ok" "ok $N" tcp4 bind 127.5.5.1:0
try "bind, AF_UNSPEC" "ok ok" "ok EAFNOSUPPORT" tcp4 bind-unspec 0.0.0.0:7900
link=$(ip -6 addr show dev host0 | sed -n 's|.*inet6 \(fe80[^/]*\)/.*|\1|p' | head -n 1)
# Until duplicate address detection is done it can't be bound to by anyone.
wait_for 10 sh -c "! ip -6 addr show dev host0 | grep -q tentative"
try "bind, link-local" "ok ok" "ok $N" tcp6 bind "[$link%host0]:0"
try "IP_FREEBIND" "ok ok ok" "ok ok $N" tcp4 set freebind bind 10.1.2.4:0
try "IPV6_FREEBIND" "ok ok ok" "ok ok $N" tcp6 set freebind6 bind '[2001:db8::99]:0'
try "IP_BIND_ADDRESS_NO_PORT" "ok ok ok" "ok ok $N" tcp4 set noport bind 10.1.2.4:0
try "IP_TRANSPARENT" "ok ok ok" "ok EPERM $N" tcp4 set transparent bind 10.9.9.9:0
try "SO_REUSEPORT" "ok ok ok" "ok ok $N" tcp4 set reuseport bind 10.1.2.4:7555
try "connect to AF_UNSPEC, then bind" "ok ok ok ok" "ok ok ok $N" udp4 connect 10.1.2.4:7000 unspec bind 10.1.2.4:0
try "IPV6_ADDRFORM, then bind" "ok ok ok ok ok" "ok ok ok ok $N" udp6 connect '[::ffff:10.1.2.4]:7000' set addrform unspec bind 10.1.2.4:0
try "IP_PKTINFO" "ok ok" "ok EPERM" udp4 from 10.1.2.4 10.1.2.5:9
try "IP_PKTINFO on a connected socket" "ok ok ok" "ok ok EPERM" udp4 connect 10.1.2.5:9 from 10.1.2.4 -
try "IPV6_PKTINFO" "ok ok" "ok EPERM" udp6 from '[2001:db8::4]' '[2001:db8::3]:9'
try "MPTCP" "ok" EPROTONOSUPPORT mptcp4
try "packet sockets" "ok" EPERM packet
# In a user namespace below the guest's everybody has all capabilities; over the host's stack none.
below="--ccap userns,raw_icmp --ip 10.1.2.3"
# shellcheck disable=SC2086
{
says "(guest root has raw sockets for ICMP)" ok $below -- net raw4 1
says "a user hasn't" EPERM $below -u user -- net raw4 1
says "nor has he in a user namespace of his own" EPERM $below -u user -- unshare -U -r net raw4 1
}
try "raw TCP" "ok" EPERM raw4 6
try "IPPROTO_RAW" "ok" EPERM raw4 255
try "raw ICMP with IP_HDRINCL and a foreign source" "ok ok ok" "ok ok EPERM" raw4 1 set hdrincl header 10.1.2.4 10.1.2.5
try "raw ICMP bound to a foreign address" "ok ok ok" "ok ok EPERM" raw4 1 bind 10.1.2.4:0 echo 10.1.2.5
try "a ping socket bound to one" "ok ok ok" "ok EINVAL ok" ping4 bind 10.1.2.4:0 echo 10.1.2.5
try "raw, with a header of its own, to the host's loopback" "ok ok ok" "ok ok EPERM" raw4 1 set hdrincl header-udp 10.1.2.3 127.0.0.1
try "a neighbour advertisement" "ok ok" "ok EPERM" raw6 58 icmp6 136 '[2001:db8::4]'
try "a router advertisement" "ok ok" "ok EPERM" raw6 58 icmp6 134 '[2001:db8::4]'
try "multicast" "ok ok" "ok EPERM" udp4 send 224.0.0.251:9
try "to join a group" "ok ok" "ok EPERM" udp4 join 224.0.0.251 10.1.2.4
try "to join one, IPv6" "ok ok" "ok EPERM" udp6 join6 '[ff05::fb]' host0
try "multicast from a raw socket" "ok ok" "ok EPERM" raw4 1 echo 224.0.0.251
try "broadcast from a raw socket, as UDP" "ok ok ok ok" "ok ok ok EPERM" raw4 1 set hdrincl set broadcast header-udp 10.1.2.3 10.1.2.255
try "the host's loopback, by sendto" "ok ok 127.0.0.1:7002" "ok ok none" udp4 send 127.0.0.1:7002 recv-soon
try "by sendto with AF_UNSPEC" "ok ok 127.0.0.1:7002" "ok ok none" udp4 send-unspec 127.0.0.1:7002 recv-soon
try "the host's loopback, TCP" "ok ok" "ok ECONNREFUSED" tcp4 connect 127.0.0.1:7002
try "as an IPv4-mapped address" "ok ok" "ok ECONNREFUSED" tcp6 connect '[::ffff:127.0.0.1]:7002'
try "SO_MARK" "ok ok" "ok EPERM" tcp4 set mark
try "TCP_REPAIR" "ok ok" "ok EPERM" tcp4 set repair
try "an address for lo, by netlink" ok EPERM newaddr 10.9.9.9
if [ "$("$net" uring-bind 10.1.2.4:0)" = "ok " ]; then
	host "io_uring" ok uring-bind 10.1.2.4:0
	says "io_uring is refused" ENOSYS --ip 10.1.2.3 -- net uring-bind 10.1.2.4:0
	says "without the deny list, too: its sockets would pass the rules on families" ENOSYS --seccomp none --ip 10.1.2.3 -- net uring-bind 10.1.2.4:0
else
	skip "no bind by io_uring in this kernel"
fi

# --- what else a socket can be told ------------------------------------------

kinds="--userns_no_--seccomp_none_--hide_mount,proc"
[ -n "$slow" ] || kinds="--userns_yes $kinds"
try "raw ICMPv6 bound to a foreign address" "ok ok ok" "ok ok EPERM" raw6 58 bind '[2001:db8::4]:0' icmp6 128 '[2001:db8::3]'
try "IPV6_HDRINCL and a foreign source" "ok ok ok" "ok ok EPERM" raw6 58 set hdrincl6 header6 '[2001:db8::4]' '[2001:db8::3]'
try "a ping socket for IPv6" "ok ok" "ok EINVAL" ping6 bind '[2001:db8::4]:0'
try "SO_BINDTODEVICE, then bind" "ok ok ok" "ok ok $N" tcp4 set device host0 bind 10.1.2.4:0
try "SO_BINDTODEVICE, then IP_PKTINFO" "ok ok ok" "ok ok EPERM" udp4 set device host0 from 10.1.2.4 10.1.2.9:9
try "IP_UNICAST_IF, then IP_PKTINFO" "ok ok ok" "ok ok EPERM" udp4 set unicast-if host0 from 10.1.2.4 10.1.2.5:9
try "IP_UNICAST_IF of lo" "ok ok ok 127.0.0.1:7002" "ok ok ok none" udp4 set unicast-if lo send 127.0.0.1:7002 recv-soon
try "SO_PRIORITY, then bind" "ok ok ok" "ok ok $N" tcp4 set priority bind 10.1.2.4:0
try "UDP_ENCAP, then bind" "ok ok ok" "ok ok $N" udp4 set encap bind 10.1.2.4:4500
try "a source route, then bind" "ok ok ok" "ok EPERM $N" udp4 set srr 10.1.2.4 bind 10.1.2.4:0
try "a routing header, by way of a host that no rule has seen" "ok ok ok" "ok ok EPERM" udp6 set rthdr '[2001:db8::4]' send '[2001:db8::3]:9'
case $("$net" tcp4 port-range 7300 7301) in
"ok ok ") try "IP_LOCAL_PORT_RANGE, then bind" "ok ok ok" "ok ok $N" tcp4 port-range 7300 7301 bind 10.1.2.4:0 ;;
*) skip "no IP_LOCAL_PORT_RANGE in this kernel (6.3)" ;;
esac
try "TCP Fast Open to the host's loopback" "ok ok" "ok ECONNREFUSED" tcp4 fastopen 127.0.0.1:7002
try "link-local, as a peer: the source" "ok ok" "ok EPERM" udp6 from "[$link%host0]" "[$link%host0]:9"
try "a route, by netlink" ok EPERM newroute 10.9.9.8
try "an address for lo, by ioctl" ok EPERM device-address lo:9 10.9.9.9
ip addr flush dev lo label lo:9
ip addr del 10.9.9.9/32 dev lo 2>/dev/null
# SCTP takes a list of addresses at once; it isn't in every kernel.
if [ "$("$net" sctp4)" = "ok " ]; then
	try "SCTP, bindx" "ok ok" "EPROTONOSUPPORT EBADF" sctp4 bindx 10.1.2.4:0
	try "SCTP, connectx" "ok ECONNREFUSED" "EPROTONOSUPPORT EBADF" sctp4 connectx 10.1.2.4:9
else
	skip "no SCTP in this kernel"
	says "SCTP isn't asked for either" EPROTONOSUPPORT --ip 10.1.2.3 -- net sctp4
fi
# VSOCK, XDP, ALG, SMC, TIPC, RDS, CAN, KCM, QIPCRTR and whatever else this kernel has.
for f in 3 4 5 6 7 8 9 11 12 13 14 15 $(seq 18 45); do
	for t in 1 2 3 5; do
		case $("$net" family "$f" $t) in "ok ") others="${others:-} family $f $t" ;; esac
	done
done
isnt "(outside: there are sockets of other families)" "${others:-}" ""
# shellcheck disable=SC2086
for g in "" "--seccomp none" "--userns no --seccomp none --hide mount,proc"; do
	says "none of them is in a guest${g:+, $g}" "$(echo $others | sed 's/family [0-9]* [0-9]*/EAFNOSUPPORT/g')" $g --ip 10.1.2.3 -- net $others
done

# In a network of its own the guest has the host's sockets all the same, behind a view; without one it has those of
# nothing: the programs go with the cgroup.
if "$net" own-net | grep -q ok; then
	u="--userns yes --ccap userns --ip 10.1.2.3 --ip 2001:db8::3"
	host "a network namespace of one's own" "ok ok ok" own-net tcp4 bind 127.0.0.1:0
	says "a network of the guest's making, behind a view" "ok ok $N" $u -- net own-net tcp4 bind 10.1.2.4:0
	says "and without" "ok ok $N" $u --hide mount,proc -- net own-net tcp4 bind 10.1.2.4:0
fi
if [ "$(uname -m)" = x86_64 ] && [ "$("$net" i386 direct tcp4)" = "ok " ]; then
	for way in socketcall direct; do
		try "i386, $way: bind" "ok ok" "ok $N" i386 $way tcp4 bind 10.1.2.4:0
		[ $way = socketcall ] || continue
		try "i386, $way: bind, IPv6" "ok ok" "ok $N" i386 $way udp6 bind '[2001:db8::4]:0'
		try "i386, $way: the host's loopback" "ok ok 127.0.0.1:7002" "ok ok none" i386 $way udp4 send 127.0.0.1:7002 recv-soon
		try "i386, $way: connect" "ok ok" "ok ECONNREFUSED" i386 $way tcp4 connect 127.0.0.1:7002
		try "i386, $way: MPTCP" ok EPROTONOSUPPORT i386 $way mptcp4
		try "i386, $way: another family" "ok" EAFNOSUPPORT i386 $way ${others:+${others%% family*}} family "$(echo $others |
			cut -d' ' -f2)" "$(echo $others | cut -d' ' -f3)"
	done
else
	skip "no 32-bit ABI"
fi

# --- what others see ---------------------------------------------------------

me() { sed 's/.* \([^ ]*\):[0-9]* *$/\1/'; }
is "TCP Fast Open: the peer sees the guest's address" "$(guest --ip 10.1.2.5 -- net tcp4 fastopen 10.1.2.4:7000 name | me)" 10.1.2.5

says "TCP Fast Open to a peer that is denied" "ok EPERM" --ip 10.1.2.5 --connect-deny 10.1.2.4 -- net tcp4 fastopen 10.1.2.4:7000
for way in socketcall direct; do
	[ "$("$net" i386 $way tcp4)" = "ok " ] || continue
	is "nor does i386, $way" "$(guest --ip 10.1.2.5 -- net i386 $way tcp4 connect 10.1.2.4:7000 name | me)" 10.1.2.5
	is "nor a bind by it, of UDP in a guest with several addresses" "$(guest --ip 10.1.2.5 --ip 2001:db8::4 -- \
		net i386 $way udp4 bind 0.0.0.0:0 connect 10.1.2.4:7000 name | me)" 10.1.2.5
done

# --- listening without bind, and what a wildcard hears -----------------------

guest --ip 10.1.2.3 -- net tcp4 listen name accept >"$tmp/lonely" 2>&1 &
lonely=$!
wait_for 10 grep -q 0.0.0.0: "$tmp/lonely"
port=$(sed 's/.*0.0.0.0:\([0-9]*\).*/\1/' "$tmp/lonely")
"$net" tcp4 connect "10.1.2.4:$port" >"$tmp/unheard" &
unheard=$!
wait_for 10 grep -q ok "$tmp/unheard"
sleep 1
kill $unheard
is "listen without bind doesn't answer on another address" "$(cat "$tmp/unheard")" "ok "
is "but on the guest's" "$("$net" tcp4 connect "10.1.2.3:$port")" "ok ok "
wait $lonely
"$net" tcp4 listen name accept >"$tmp/control" 2>&1 &
wait_for 10 grep -q 0.0.0.0: "$tmp/control"
port=$(sed 's/.*0.0.0.0:\([0-9]*\).*/\1/' "$tmp/control")
is "(outside: it does)" "$("$net" tcp4 connect "10.1.2.4:$port")" "ok ok "
wait $!
for where in 10.1.2.4 10.1.2.3; do
	recv=recv
	[ $where = 10.1.2.3 ] || recv='recv-soon'
	: >"$tmp/auto"          # or the last one's name is read: what follows empties it in its own time
	guest --ip 10.1.2.3 -- net udp4 send 10.1.2.3:9 name $recv >"$tmp/auto" 2>&1 &
	wait_for 10 grep -q 0.0.0.0: "$tmp/auto"
	port=$(sed 's/.*0.0.0.0:\([0-9]*\).*/\1/' "$tmp/auto")
	"$net" udp4 bind 10.1.2.5:7700 send "$where:$port" >/dev/null
	wait $!
	case $where in
	*4) like "a socket bound by sendto hears nothing for another address" "$(cat "$tmp/auto")" ' none $' ;;
	*) like "and what is for its own" "$(cat "$tmp/auto")" ' 10.1.2.5:7700 $' ;;
	esac
done
guest --userns no --ip 10.1.2.3 -- net tcp4 set reuseport bind 0.0.0.0:7001 listen name touch /listens until /asked >"$tmp/thief" 2>&1 &
wait_for 10 test -e "$R/listens"
is "SO_REUSEPORT with the same user id steals nothing of the host's" "$(for _ in 1 2 3 4 5 6; do ask tcp 10.1.2.4:7001; done |
	cut -d' ' -f1 | sort -u)" HOST
: >"$R/asked"
wait $!
is "(a guest did listen on that port)" "$(cat "$tmp/thief")" "ok ok ok ok 10.1.2.3:7001 "

# What the network says of a ping goes to every raw socket that could have sent it, past the packet filters.
sysctl_net ipv4/neigh/host0/mcast_solicit 1
sysctl_net ipv4/neigh/host0/retrans_time_ms 100
guest --ip 10.1.2.3 -- net raw4 1 bind 0.0.0.0:0 set recverr touch /listens-too until /heard errors >"$tmp/errors" 2>&1 &
pid=$!
NET_SOON=15000 "$net" raw4 1 set recverr touch "$tmp/listens" errors >"$tmp/witness" &
witness=$!
wait_for 10 test -e "$R/listens-too"
wait_for 10 test -e "$tmp/listens"
busybox ping -c 1 -W 1 10.1.2.99 >/dev/null 2>&1
wait $witness
is "(outside: a raw socket hears what came of another's ping)" "$(cat "$tmp/witness")" "ok ok 10.1.2.99 "
: >"$R/heard"
wait $pid
is "a guest's doesn't" "$(cat "$tmp/errors")" "ok ok ok none "

# --- sockets from outside ----------------------------------------------------

exits "an inherited socket is refused" 125 "$net" with-socket 0 "$VRUN" --root "$R" $abstract --ip 10.1.2.3 -- true
exits "as stdout, too" 125 "$net" with-socket 1 "$VRUN" --root "$R" $abstract --ip 10.1.2.3 -- true

# What another process hands over keeps to the addresses of whoever made it: a guest's socket to that guest's, the
# host's, which is a gift, to all of the host's.
mkdir -m 0777 "$tmp/share"
"$net" tcp4 give "$tmp/share/host" >"$tmp/gave" 2>&1 &
says "a socket that the host hands over is the host's" "ok ok" --bind "$tmp/share:/mnt" --ip 10.1.2.3 -- net take /mnt/host bind 10.1.2.4:0
wait $!
for g in --userns_yes --userns_no; do
	g=$(echo $g | tr _ ' ')
	rm -f "$tmp/share/guest"
	# shellcheck disable=SC2086
	guest $g --bind "$tmp/share:/mnt" --ip 10.1.2.3 -- net tcp4 give /mnt/guest >"$tmp/gave" 2>&1 &
	# shellcheck disable=SC2086
	says "what a guest hands to another is neither's but the first's, $g" "ok $N $N ok 10.1.2.3:7200" $g --bind "$tmp/share:/mnt" \
		--ip 10.1.2.5 -- net take /mnt/guest bind 10.1.2.4:0 bind 10.1.2.5:0 bind 10.1.2.3:7200 name
	wait $!
	rm -f "$tmp/share/guest"
	# shellcheck disable=SC2086
	guest $g --bind "$tmp/share:/mnt" --ip 10.1.2.3 -- net udp4 give /mnt/guest >"$tmp/gave" 2>&1 &
	# shellcheck disable=SC2086
	says "nor does it send from elsewhere, $g" "ok EPERM EPERM ok" $g --bind "$tmp/share:/mnt" --ip 10.1.2.5 -- \
		net take /mnt/guest from 10.1.2.4 10.1.2.4:9 from 10.1.2.5 10.1.2.4:9 from 10.1.2.3 10.1.2.4:9
	wait $!
done

# --- two guests --------------------------------------------------------------

serve_guest "$tmp/a" 1000 A --name a$$ --ip 10.1.2.3 --ip 2001:db8::3 -- tcp4:127.0.0.1:7100 'tcp6:[::1]:7100' udp4:127.0.0.1:7100 \
	'udp6:[::1]:7100' tcp4:0.0.0.0:7101
lback=$(ss -Hltn "sport = :7100" | awk '{ print $4 }' | grep ^127)
like "a guest's loopback is an address of its own on the host" "$lback" '^127\.[0-9]*\.[0-9]*\.1:7100$'
is "(outside: there it answers)" "$(ask tcp "$lback" | cut -d' ' -f1)" A
says "another guest doesn't reach it" ECONNREFUSED --ip 10.1.2.4 -- net ask tcp "$lback"
says "by UDP neither" "ECONNREFUSED" --ip 10.1.2.4 -- sh -c "net udp4 connect $lback sendc refused sendc | sed 's/.* \(E[A-Z]*\).*/\1/'"
says "its 127.0.0.1 is another" ECONNREFUSED --ip 10.1.2.4 -- net ask tcp 127.0.0.1:7100
says "its ::1 is, too" "ECONNREFUSED" --ip 2001:db8::4 -- net ask tcp '[::1]:7100'
ula=$(ss -H6ltn "sport = :7100" | awk '{ print $4 }' | sed -n 's/:7100$//p' | grep fd76)
says "a guest's ::1 on the host can't be had by another" "ok $N" --ip 2001:db8::4 -- net tcp6 bind "$ula:0"
is "(outside: there it answers)" "$(ask tcp "$ula:7100" | cut -d' ' -f1)" A
says "nor reached, by TCP" EPERM --ip 2001:db8::4 -- net ask tcp "$ula:7100"
says "by UDP" "ok EPERM ok EPERM" --ip 2001:db8::4 -- net udp6 connect "$ula:7100" udp6 send "$ula:7100"
says "by what a raw socket is" "ok EPERM" --ip 2001:db8::4 -- net raw6 58 icmp6 128 "$ula"
says "and from a loopback nothing goes to others" "ok ok EPERM ok ok EPERM ok ok EPERM ok ok EPERM" --ip 10.1.2.4 --ip 2001:db8::4 -- \
	net udp4 bind 127.0.0.1:0 connect 10.1.2.3:7100 udp6 bind '[::1]:0' connect '[2001:db8::3]:7100' \
	udp4 bind 127.0.0.1:0 send 10.1.2.3:7100 udp6 bind '[::1]:0' send '[2001:db8::3]:7100'

# Who is on the network and sends what is for these addresses to this host.
unshare --net sleep 2000 &
lan=$!
at_exit "kill $lan 2>/dev/null"
wait_for 10 sh -c "[ \"\$(readlink /proc/$lan/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
ip link set peer0 netns "$lan"
on_lan() { nsenter -t "$lan" -n "$@"; }
on_lan sh -c 'ip link set peer0 up && ip addr add 2001:db8::50/64 dev peer0 nodad && ip route add fd76:7275:6e00::/48 via 2001:db8::3'
ip addr add fd76:7275:6e00::1/128 dev lo nodad
serve_host "$tmp/ula" 600 'udp6:[fd76:7275:6e00::1]:7100'
at_exit "kill $! 2>/dev/null"
at_exit "kill $! 2>/dev/null"
is "(outside: the network reaches an address of lo)" "$(on_lan "$net" ask udp '[fd76:7275:6e00::1]:7100' | cut -d' ' -f1)" HOST
like "the network doesn't reach a guest's ::1" "$(on_lan "$net" udp6 connect "$ula:7100" sendc recv-soon)" ' none $'

serve_guest "$tmp/r1" 1000 R1 --name r1$$ --userns no --ip 10.1.2.4 -- reuse4:10.1.2.4:7102
for a in 10.1.2.5:7102 0.0.0.0:7102; do
	rm -f "$R/asked"
	guest --userns no --ip 10.1.2.5 -- net tcp4 set reuseport bind $a listen until /asked >"$tmp/thief" 2>&1 &
	ok "(a guest listens on the port of another's server, $a)" wait_for 10 sh -c "ss -Hltn 'sport = :7102' | grep -q 10.1.2.5"
	is "SO_REUSEPORT by the same user id steals nothing of another guest's ($a)" "$(for _ in 1 2 3 4 5 6; do ask tcp 10.1.2.4:7102; done |
		cut -d' ' -f1 | sort -u)" R1
	: >"$R/asked"
	wait $!
done
says "both serve the same port" "ok ok ok" --ip 10.1.2.4 -- net tcp4 bind 0.0.0.0:7101 listen
"$VRUN" --kill a$$
"$VRUN" --kill r1$$

# --- one guest's share of the table of listeners ------------------------------

ip addr add 10.1.2.6/24 dev host0
rm -f "$R"/crowd-*
guest --ip 10.1.2.3 --ip 10.1.2.5 -- net listeners 640 0.0.0.0:20000 touch /crowd-full until /crowd-seen \
	drop listeners 200 0.0.0.0:21000 touch /crowd-less until /crowd-less-seen \
	drop listeners 1 0.0.0.0:0 listen-again 1200 listeners 200 0.0.0.0:22000 touch /crowd-again until /crowd-again-seen \
	drop udps 640 0.0.0.0:23000 listeners 200 0.0.0.0:24000 touch /crowd-udp until /crowd-end >"$tmp/crowd" 2>&1 &
crowd=$!
wait_for 60 test -e "$R/crowd-full"
is "(each of a guest's 640 listeners is reached by the first of its two addresses)" "$("$net" reached 640 10.1.2.3:20000)" "640 "
reached=$("$net" reached 640 10.1.2.5:20000)
ok "by the second those are that its share of the table has room for: not more than 512 (${reached% })" [ "${reached% }" -le 512 ]
ok "(and hardly less)" [ "${reached% }" -ge 480 ]
serve_guest "$tmp/beside" 100 BESIDE --name beside --ip 10.1.2.4 --ip 10.1.2.6 -- tcp4:0.0.0.0:20000
is "another guest's listener is reached by its second address meanwhile" "$(ask tcp 10.1.2.6:20000 | cut -d' ' -f1)" BESIDE
is "and by its loopback" "$("$VRUN" -q --enter beside -- net ask tcp 127.0.0.1:20000 | cut -d' ' -f1)" BESIDE
: >"$R/crowd-seen"
wait_for 60 test -e "$R/crowd-less"
is "when they are closed there is room for others" "$("$net" reached 200 10.1.2.5:21000)" "200 "
: >"$R/crowd-less-seen"
wait_for 60 test -e "$R/crowd-again"
reached=$("$net" reached 200 10.1.2.5:22000)
ok "one socket that listens 1,200 times, on as many ports, has used up the share (${reached% } of 200)" [ "${reached% }" -le 50 ]
: >"$R/crowd-again-seen"
wait_for 60 test -e "$R/crowd-udp"
reached=$("$net" reached 200 10.1.2.5:24000)
ok "and so have 640 UDP sockets (${reached% } of 200)" [ "${reached% }" -le 50 ]
: >"$R/crowd-end"
wait $crowd
is "(none of these sockets was refused)" "$(cat "$tmp/crowd")" "ok ok ok ok ok ok ok "
"$VRUN" --kill beside

# --- death -------------------------------------------------------------------

guest --name orphan$$ --ip 10.1.2.3 -- sleep 600 &
wait_for 10 sh -c "'$VRUN' -q --list | grep -qx orphan$$"
supervisor=$("$VRUN" --status orphan$$ | awk '$1 == "supervisor" { print $2 }')
cgroup=$(cgroup2_dir)$("$VRUN" --status orphan$$ | awk '$1 == "cgroup" { print $2 }')
kill -KILL "$supervisor"
mkdir -p "$cgroup/payload" 2>/dev/null
# A process in what the guest left: as one would be that outlived its supervisor.
sh -c "echo \$\$ >'$cgroup/payload/cgroup.procs' && exec '$net' tcp4 bind 10.1.2.4:0" >"$tmp/orphan" 2>&1
is "with the supervisor killed, what is in the cgroup is still kept to its addresses" "$(cat "$tmp/orphan")" "ok $N "

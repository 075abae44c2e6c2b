# Whoever of supervisor, broker, guest init and guard is killed, in whatever order: no process of the guest ever uses
# another address than the guest's, also not between that and its own death; and the next vrun command leaves nothing
# of the guest, in the kernel's tables neither. VRUN_LONG=1: 200 times and more.
HOST_ADDRS="10.1.2.3/24 10.1.2.4/24 10.1.2.5/24 2001:db8::3/64 2001:db8::4/64 2001:db8::5/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
trespass=$helpers/trespass
cp "$trespass" "$R/bin/trespass"
marker=death$$
# Duplicate address detection, which takes a second, has a test of its own.
sysctl_net ipv6/conf/host0/dad_transmits 0
rounds=20 starts=12 pairs=4
[ -z "$slow" ] || rounds=6 starts=2 pairs=1
[ -z "${VRUN_LONG:-}" ] || rounds=200 starts=200 pairs=40

addresses() { ip -o addr | awk '{ print $2, $4 }' | sort; }
wait_for 10 sh -c "! ip -6 addr | grep -q tentative"
addresses >"$tmp/addresses"
"$trespass" sink 9990 >"$tmp/sink" 2>&1 &
at_exit "kill $! 2>/dev/null"
"$trespass" sink 9991 >"$tmp/control-sink" 2>&1 &
at_exit "kill $! 2>/dev/null"
wait_for 10 grep -q ready "$tmp/sink"
wait_for 10 grep -q ready "$tmp/control-sink"

# The positive control: outside all of it works, and the sink notices.
"$trespass" run 9991 "$marker-control" >"$tmp/control" 2>/dev/null &
control_all() { [ "$(sort -u "$tmp/control" | grep -c TRESPASS)" -ge 6 ]; }
wait_for 10 control_all
for p in $(grep -lz "^$marker-control\$" /proc/[0-9]*/cmdline 2>/dev/null); do
	p=${p#/proc/}
	kill -KILL "${p%/cmdline}"
done
is "(outside: sockets old and new get the other addresses)" "$(sort -u "$tmp/control" | grep -c TRESPASS)" 6
ok "(outside: and their packets say so)" wait_for 5 sh -c "grep -q 10.1.2.4 '$tmp/control-sink' && grep -q db8::4 '$tmp/control-sink'"

# --- kills -------------------------------------------------------------------

kinds=6
kind() {
	case $1 in
	0) echo "--ip 10.1.2.3" ;;
	1) echo "--ip 10.1.2.3 --ip 2001:db8::3 --userns no" ;;
	2) echo "--ip 10.1.2.3 --ip 10.1.2.77/24@host0 --ip 2001:db8::77/64@host0" ;;
	3) echo "--init --ip 10.1.2.3 --ip 2001:db8::3@host0 --ip 2001:db8::78/128@lo" ;;
	4) echo "--share pid,abstract --userns no --hide none --ip 10.1.2.78/32@lo --ip 2001:db8::3" ;;
	5) echo "--init --userns no --hide mount,proc --share abstract --seccomp none --ip 10.1.2.3" ;;
	esac
}

# Every way to kill one to four of them, one after the other.
orders=
for a in S B I G; do
	orders="$orders $a"
	for b in S B I G; do
		[ $a != $b ] || continue
		orders="$orders $a$b"
		for c in S B I G; do
			case $a$b in *$c*) continue ;; esac
			orders="$orders $a$b$c"
			for d in S B I G; do
				case $a$b$c in *$d*) continue ;; esac
				orders="$orders $a$b$c$d"
			done
		done
	done
done
# shellcheck disable=SC2086
order() { shift "$1"; echo "$1"; }

alive() { grep -lz "^$marker\$" /proc/[0-9]*/cmdline 2>/dev/null | grep -q .; }
dead() { ! alive; }
cgroup2=$(cgroup2_dir)

# It gives itself its name, once it has a CPU.
guarded() { sed 's|[^ ]*|/proc/&/comm|g' "/proc/$S/task/$S/children" | xargs cat 2>/dev/null | grep -qx vrun-guard; }

# start FILE KIND: sets S, B, I, G and cgroup
start() {
	rm -f "$1"
	# shellcheck disable=SC2046
	"$VRUN" -q --root "$R" --status-fd 1 $(kind "$2") -- trespass run 9990 "$marker" >"$1" 2>&1 &
	S=$!
	wait_for 20 sh -c "grep -q ready '$1' && grep -q '\"exec\"' '$1'" || { sed 's/^/# did not start: /' "$1"; return 1; }
	cgroup=$(sed -n 's/.*"event":"start".*"cgroup":"\([^"]*\)".*/\1/p' "$1")
	I=$(sed -n 's/.*"event":"start".*"pid":\([0-9]*\).*/\1/p' "$1")
	B='' G=''
	case $2 in [345]) wait_for 10 guarded ;; esac
	for p in $(cat "/proc/$S/task/$S/children"); do
		case $(tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null),$(cat "/proc/$p/comm" 2>/dev/null) in
		vrun-broker*) B=$p ;;
		*,vrun-guard) G=$p ;;
		esac
	done
}

end_it() { "$VRUN" -q --kill "$1" 2>/dev/null; }

name='' bad=0 killed=0 outlived=0 missing=0
i=0
while [ $i -lt $rounds ]; do
	k=$((i % kinds)) o=$(order $(((i * 37 + i / kinds) % 64 + 1)) $orders)
	i=$((i + 1))
	start "$tmp/out" $k || { bad=$((bad + 1)); break; }
	[ -n "$name" ] || name=$("$net" bpf-name | tr -d ' ')
	case $k,$G in [345],) missing=$((missing + 1)) ;; esac
	for who in $(echo $o | sed 's/./& /g'); do
		eval "pid=\$$who"
		[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
		killed=$((killed + 1))
		case $((i / 3 % 4)) in
		1) sleep 0.001 ;;
		2) sleep 0.02 ;;
		esac
	done
	case $o in
	*S*)
		# With all gone at one blow that would end the guest (a guard killed a moment after the supervisor may not
		# have run yet), what wants no signal for it may live on: until the next command, and filtered as ever.
		case $k,$o in
		[345],*G*) sleep 0.1 ;;
		*) wait_for 10 dead || { echo "# alive after $o, kind $k"; outlived=$((outlived + 1)); } ;;
		esac ;;
	*) sleep 0.05; end_it "${cgroup##*/}" ;;
	esac
	wait "$S" 2>/dev/null   # nobody is dead before its supervisor is
	"$VRUN" -q --list >/dev/null 2>&1
	if ! wait_for 10 dead; then bad=$((bad + 1)); echo "# a process is left after $o, kind $k"; fi
	if ! wait_for 10 [ ! -e "$cgroup2$cgroup" ]; then bad=$((bad + 1)); echo "# $cgroup is left after $o, kind $k"; fi
	if ! wait_for 10 sh -c "[ \"\$('$net' bpf $name)\" = '0 0 0 ' ]"; then
		bad=$((bad + 1))
		echo "# programs, maps, links left after $o, kind $k: $("$net" bpf "$name")"
	fi
	if ! addresses | cmp -s - "$tmp/addresses"; then
		bad=$((bad + 1))
		addresses | diff "$tmp/addresses" - | sed "s/^/# after $o, kind $k: /"
	fi
	cat "$tmp/out" >>"$tmp/all"
done
echo "# $i guests, $killed kills"
is "$rounds guests whose supervisor, broker, init, guard are killed in all orders: with the supervisor the guest dies" $outlived 0
is "and the next vrun command leaves no process, cgroup, program, map, link or address" $bad 0
is "(there was a guard where one belongs)" $missing 0
is "no process of theirs could ever use another address, also not between kill and death" "$(grep -a TRESPASS "$tmp/all" | sort | uniq -c)" ""

# --- a supervisor killed while the guest starts ------------------------------

: >"$tmp/all"
i=0
while [ $i -lt $starts ]; do
	k=$((i % kinds))
	# shellcheck disable=SC2046
	"$VRUN" -q --root "$R" $(kind $k) -- trespass run 9990 "$marker" >>"$tmp/all" 2>&1 &
	pid=$!
	i=$((i + 1))
	sleep "0.0$(printf %03d $((i * 400 / starts)))"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
done
ok "of $starts supervisors killed at any moment of the start no process is left" wait_for 10 dead
"$VRUN" -q --list >/dev/null 2>&1
ok "no program, map or link" wait_for 10 sh -c "[ \"\$('$net' bpf $name)\" = '0 0 0 ' ]"
addresses >"$tmp/after"
is "no address" "$(diff "$tmp/addresses" "$tmp/after")" ""
unlike "and none of their guests used another's" "$(cat "$tmp/all")" TRESPASS
is "(the sink heard from the guests' addresses alone)" "$(sed -n 's/from \(::ffff:\)\{0,1\}//p' "$tmp/sink" |
	grep -vE '^(10.1.2.(3|77|78)|2001:db8::(3|77|78))$')" ""
like "(and from some)" "$(cat "$tmp/sink")" "from ::ffff:10.1.2.3"

# --- two starts at once, and the death of the first --------------------------

serve() {
	_file=$1
	shift
	"$VRUN" -q --root "$R" $abstract "$@" -- net serve "${_file##*/}" 600 tcp4:0.0.0.0:80 udp4:0.0.0.0:80 >"$_file" 2>&1 &
}
who() { ask "$1" "$2" | cut -d' ' -f1; }
i=0 bad=0
while [ $i -lt $pairs ]; do
	i=$((i + 1))
	rm -f "$tmp/A" "$tmp/B" "$tmp/C"
	serve "$tmp/A" --ip 10.1.2.3 --ip 10.1.2.77/24@host0
	a=$!
	serve "$tmp/B" --ip 10.1.2.4 --ip 10.1.2.5
	b=$!
	[ $((i % 4)) -ne 0 ] || wait_for 20 grep -q ^ready "$tmp/A"
	[ $((i % 4)) -eq 1 ] || sleep "0.0$(printf %02d $((i * 30 / pairs)))"
	kill -KILL $a
	serve "$tmp/C" --ip 10.1.2.77/24@host0 --ip 10.1.2.3
	c=$!
	wait_for 20 grep -q ^ready "$tmp/B" && wait_for 20 grep -q ^ready "$tmp/C"
	got="$(who tcp 10.1.2.5:80) $(who udp 10.1.2.5:80) $(who tcp 10.1.2.3:80) $(who udp 10.1.2.3:80)"
	[ "$got" = "B B C C" ] || { bad=$((bad + 1)); echo "# pair $i: $got"; sed 's/^/# /' "$tmp/B" "$tmp/C"; }
	kill -KILL $b
	got="$(who tcp 10.1.2.77:80) $(who udp 10.1.2.3:80)"
	[ "$got" = "C C" ] || { bad=$((bad + 1)); echo "# pair $i, second death: $got"; }
	kill -TERM $c
	wait $a $b $c 2>/dev/null
done
is "two guests start at once and the first dies: who shares its programs, then and later, serves all addresses ($pairs times)" $bad 0
"$VRUN" -q --list >/dev/null 2>&1
ok "when all are gone no program, map or link is left" wait_for 10 sh -c "[ \"\$('$net' bpf $name)\" = '0 0 0 ' ]"
addresses >"$tmp/after"
is "and no address" "$(diff "$tmp/addresses" "$tmp/after")" ""

# --- what the neighbours hear of an address on a device ----------------------

sysctl_net ipv6/conf/host0/dad_transmits 1
"$net" sniff peer0 600000 >"$tmp/heard" &
sniffer=$!
at_exit "kill $sniffer 2>/dev/null"
wait_for 10 grep -q ready "$tmp/heard"
ok "a guest with addresses on a device can use them at once" "$VRUN" -q --root "$R" $abstract --ip 10.1.2.88/24@host0 \
	--ip 2001:db8::88/64@host0 --ip 10.1.2.3@host0 -- sh -c \
	'[ "$(net tcp6 bind [2001:db8::88]:80 listen tcp4 bind 10.1.2.88:80 listen)" = "ok ok ok ok ok ok " ]'
wait_for 10 grep -q '^advert from 2001:db8::88 ' "$tmp/heard"
like "IPv4: all neighbours are told, by a gratuitous ARP" "$(cat "$tmp/heard")" '^arp 1 from 10.1.2.88 for 10.1.2.88 to everybody$'
is "IPv6: asked whether anybody has it, then told that the guest's host does" \
	"$(grep 'for 2001:db8::88 ' "$tmp/heard" | sed 's/ for.*\( override\)/\1/; s/ for.*//' | uniq)" "solicit from ::
advert from 2001:db8::88 override"
unlike "one that was there is not announced again" "$(cat "$tmp/heard")" 'from 10.1.2.3 for 10.1.2.3'
kill $sniffer
# Another host on the network: the other end of the wire.
unshare --net sleep 600 &
neighbour=$!
at_exit "kill $neighbour 2>/dev/null"
wait_for 10 sh -c "[ \"\$(readlink /proc/$neighbour/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
ip link set peer0 netns $neighbour
nsenter --net=/proc/$neighbour/ns/net sh -c 'ip link set peer0 up; ip addr add 2001:db8::99/64 dev peer0 nodad'
exits "an address that another host has is refused" 125 "$VRUN" -q --root "$R" $abstract --ip 2001:db8::99/64@host0 -- true
like "and the error says so" "$err" '^vrun: --ip 2001:db8::99: another host on that network has this address$'
is "nothing of it stays on the device" "$(ip -o addr show dev host0 | grep -c 2001:db8::99)" 0

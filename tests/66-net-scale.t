# Many guests at once, each with its addresses: those with several, whose listeners are found by a program, and those
# with one. All started together on a host that has nothing loaded. VRUN_LONG=1: 128 and 1,000 of them, and what they
# cost, as comments.
# limit: 900
# second-kernel: no
HOST_ADDRS=""
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
steered=70 plain=100 wakeups=2
[ -z "${VRUN_LONG:-}" ] || steered=128 plain=1000 wakeups=10
ip route add local 10.66.0.0/15 dev lo

start() {
	_n=$1
	shift
	"$VRUN" -q --root "$R" $abstract "$@" >"$tmp/g$_n" 2>&1 &
	echo $! >>"$tmp/supervisors"
}
ready() { [ "$(cat "$tmp"/g* | grep -c '^ready')" -eq "$1" ]; }
gone() { [ "$("$net" bpf "$name")" = "0 0 0 " ]; }
# shellcheck disable=SC2046
stop_all() {
	kill $(cat "$tmp/supervisors") 2>/dev/null
	wait $(cat "$tmp/supervisors") 2>/dev/null
	rm -f "$tmp/supervisors" "$tmp"/g*
}
at_exit '[ ! -e "$tmp/supervisors" ] || kill $(cat "$tmp/supervisors") 2>/dev/null'

# What one guest loads.
start 0 --ip 10.66.0.1 --ip 10.66.0.2 -- net serve g0 3000 tcp4:0.0.0.0:80 udp4:0.0.0.0:80
wait_for 20 ready 1
name=$("$net" bpf-name | tr -d ' ')
one=$("$net" bpf "$name")
stop_all
ok "(one guest's programs, maps and link go with it: $one)" wait_for 10 gone

# --- guests with several addresses -------------------------------------------

"$net" serve HOST 3000 tcp4:0.0.0.0:80 >"$tmp/host" 2>&1 &
at_exit "kill $! 2>/dev/null"
wait_for 10 grep -q ready "$tmp/host"
i=1
while [ $i -le $steered ]; do
	start $i --ip 10.66.$i.1 --ip 10.66.$i.2 -- net serve g$i 3000 tcp4:0.0.0.0:80 udp4:0.0.0.0:80
	i=$((i + 1))
done
ok "$steered guests with two addresses each, all started at once, listen on 0.0.0.0:80, TCP and UDP" wait_for 120 ready $steered
unlike "none of them without what it wanted" "$(cat "$tmp"/g*)" ' E[A-Z]+ |^vrun'
i=1 asks=
while [ $i -le $steered ]; do
	asks="$asks ask tcp 10.66.$i.1:80 ask tcp 10.66.$i.2:80 ask udp 10.66.$i.1:80 ask udp 10.66.$i.2:80"
	i=$((i + 1))
done
# TAG SPEC LOCAL PEER; of UDP, LOCAL is the wildcard.
# shellcheck disable=SC2086
"$net" $asks >"$tmp/answers"
is "each address is answered by its own guest" "$(awk '{ for (i = 1; i <= NF; i += 4)
	if ($i == "g" int((i - 1) / 16) + 1) n++ } END { print n }' "$tmp/answers")" $((4 * steered))
is "all others by the host" "$("$net" ask tcp 10.66.0.1:80 ask tcp 127.0.0.1:80 | tr ' ' '\n' | grep -c HOST)" 2
is "all share what the first has loaded" "$("$net" bpf "$name")" "$one"

# Supervisors, and below them init, broker and command.
all_below() {
	while read -r _p; do
		echo "$_p"
		cat "/proc/$_p/task/$_p/children" 2>/dev/null | tr ' ' '\n' | grep . | all_below
	done
}
switches() {
	sed 's|.*|/proc/&/status|' "$tmp/pids" | xargs cat 2>/dev/null | awk '$1 == "voluntary_ctxt_switches:" { n += $2 } END { print n }'
}
quiet() {
	_before=$(switches)
	sleep 1
	[ "$(switches)" = "$_before" ]
}
all_below <"$tmp/supervisors" >"$tmp/pids"
wait_for 60 quiet
before=$(switches)
sleep $wakeups
is "idle, none of their $(grep -c . "$tmp/pids") processes wakes up in $wakeups seconds" $(($(switches) - before)) 0

if [ -n "${VRUN_LONG:-}" ]; then
	# The host's own connections, here and in a network without guests, in turns.
	i=0
	while [ $i -lt 15 ]; do
		echo "$("$net" rate 300) $(unshare --net sh -c "ip link set lo up; '$net' rate 300")"
		i=$((i + 1))
	done | awk '{ print $1 / $2, $1, $2 }' | sort -n >"$tmp/rates"
	echo "# the host's connections, with $steered guests / without: median $(sed -n 8p "$tmp/rates"), quartiles $(sed -n '4p;12p' \
		"$tmp/rates" | cut -d' ' -f1 | tr '\n' ' ')"
fi
stop_all
ok "when they are gone nothing is left" wait_for 20 gone

# --- guests with one ---------------------------------------------------------

# What the kernel holds for guests, on the whole machine, and what their processes have for themselves, in KB.
kernel_memory() {
	awk '$1 ~ /^(SUnreclaim|KernelStack|PageTables|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
private_memory() {
	sed 's|.*|/proc/&/smaps_rollup|' "$tmp/pids" | xargs cat 2>/dev/null | awk '$1 ~ /^Private/ { n += $2 } END { print n }'
}
# CPU time, which others on the machine don't change, and wall time of 20 starts, in ms each.
start_cost() {
	sh -c 'i=0; a=$(date +%s%N); while [ $i -lt 20 ]; do "$@" || exit; i=$((i + 1)); done; b=$(date +%s%N); times; echo $(((b - a) / 20000))' \
		sh "$VRUN" -q --root "$R" $abstract --ip 10.66.0.9 -- true | awk '
		NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/); cpu = (u[1] * 60 + u[2] + s[1] * 60 + s[2]) * 50 }
		NR == 3 { printf "%.2f ms of CPU, %.2f ms", cpu, $1 / 1000 }'
}
i=1
before=$(kernel_memory)
while [ $i -le $plain ]; do
	start $i --ip 10.67.$((i / 250)).$((i % 250 + 1)) -- net serve g$i 3000 tcp4:0.0.0.0:80
	if [ -n "${VRUN_LONG:-}" ]; then
		wait_for 60 grep -q '^ready' "$tmp/g$i"
		[ $i -ne 10 ] || { wait_for 60 ready 10; tenth=$(start_cost); }
	fi
	i=$((i + 1))
done
ok "$plain guests with an address each listen on 0.0.0.0:80, beside the host" wait_for 200 ready $plain
if [ -n "${VRUN_LONG:-}" ]; then
	sleep 2
	after=$(kernel_memory)
	all_below <"$tmp/supervisors" >"$tmp/pids"
	echo "# memory of one: $(((after - before) / plain)) KB in the kernel, $(($(private_memory) / plain)) KB in its processes"
	echo "# a start with 10 guests there: $tenth"
	echo "# with $plain: $(start_cost)"
fi
i=1 asks=
while [ $i -le $plain ]; do
	asks="$asks ask tcp 10.67.$((i / 250)).$((i % 250 + 1)):80"
	i=$((i + 1))
done
# shellcheck disable=SC2086
"$net" $asks >"$tmp/answers"
is "each answers on its own" "$(awk '{ for (i = 1; i <= NF; i += 4) if ($i == "g" int((i - 1) / 4) + 1) n++ } END { print n }' \
	"$tmp/answers")" $plain
is "they, too, share what is loaded: maps and link" "$("$net" bpf "$name" | cut -d' ' -f2,3)" "$(echo "$one" | cut -d' ' -f2,3)"
all_below <"$tmp/supervisors" >"$tmp/pids"
wait_for 60 quiet
before=$(switches)
sleep $wakeups
is "idle, none of their $(grep -c . "$tmp/pids") processes wakes up in $wakeups seconds" $(($(switches) - before)) 0
stop_all
ok "when they are gone no program, map or link is left" wait_for 20 gone
is "and no address" "$(ip -o addr | grep -cv '^1: lo *inet6\{0,1\} \(127.0.0.1/8\|::1/128\)')" 0

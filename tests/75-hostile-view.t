#!/bin/sh
# A guest against its broker and its supervisor: it harms itself. Another guest and the host get their answers.
# VRUN_LONG=1: 10,000 calls at once, more rounds, a minute of readers.
# limit: 600
. "$(dirname "$0")/lib.sh"
need root cgroup2 net bpf tool:nsenter
[ -c /dev/fuse ] || { skip "needs /dev/fuse"; exit 0; }
mktmp
make_root "$tmp/r"
chmod 700 "$tmp"
cp "$helpers/hostile" "$helpers/view" "$tmp/r/bin/"
leftovers_before
R=$tmp/r name=vt75-$$
processes=20 threads=25 rounds=60 secs=1 stops=3 both='yes no' memory=256 long=5
[ -z "$slow" ] || { processes=5 threads=10 rounds=8 stops=1 both=yes long=2; }
# Each thread has a stack in the kernel, too.
[ "${VRUN_LONG:-0}" = 0 ] || { processes=100 threads=100 rounds=1000 secs=10 stops=30 memory=2048 long=60; }
calls=$((processes * threads))

# --- a guest, and another one beside it --------------------------------------

cat >"$tmp/make-host" <<EOF2
	ip link add host0 type veth peer name peer0
	ip addr add 10.75.0.5/24 dev host0
	ip addr add 10.75.0.6/24 dev host0
	ip addr add 2001:db8:75::5/64 dev host0 nodad
	for d in host0 peer0; do ip link set \$d up; done
	echo \$\$ >$tmp/holder
	exec sleep 900
EOF2
HOST_ADDRS='' in_host_net sh "$tmp/make-host" &
wait_for 10 test -s "$tmp/holder"
holder=$(cat "$tmp/holder")
at_exit "kill $holder 2>/dev/null"
host() { nsenter --net="/proc/$holder/ns/net" "$@"; }

mkfifo "$tmp/ask"
host "$VRUN" -q --name $name-other --root "$R" --ip 10.75.0.6 --memory 64M -- sh -c 'while read -r _; do hostile one; done' \
	<"$tmp/ask" >"$tmp/answers" &
other=$!
exec 7<>"$tmp/ask"                      # waits for no reader
asked=0
# The second guest's answers, and the host's: is there one, and is it right?
others_answer() {
	asked=$((asked + 1))
	echo >&7
	_answered() { [ "$(grep -c . "$tmp/answers")" -ge "$asked" ]; }
	wait_for 30 _answered
	is "$1: another guest gets its answers" "$(tail -n 1 "$tmp/answers")" \
		"socket 0 list 0 sysinfo 0 65536 MemTotal:          65536 kB"
}
others_answer "before anything"

# A guest that lives on while what is done to it is done by commands that enter; its broker and supervisor.
begin() { # OPTIONS
	rm -f "$tmp/pid" "$tmp/up"
	host "$VRUN" -q --name $name --pid-file "$tmp/pid" --root "$R" --ip 10.75.0.5 --ip 2001:db8:75::5 --memory ${memory}M "$@" -- \
		sh -c 'hostile one; while :; do sleep 1; done' >"$tmp/up" &
	guest=$!
	wait_for 20 grep -q MemTotal "$tmp/up" && wait_for 10 test -s "$tmp/pid"
	supervisor=$(cat "$tmp/pid")
}
attack() { run host "$VRUN" -q --enter $name -- hostile "$@"; }
children() {
	for _p in /proc/[0-9]*; do
		! grep -q "^PPid:	$supervisor$" "$_p/status" 2>/dev/null || ! grep -q '^vrun-broker' "$_p/cmdline" 2>/dev/null ||
			echo "${_p#/proc/}"
	done
}
# shellcheck disable=SC2012
holds() { for _p in $(children) $supervisor; do echo "$(ls "/proc/$_p/fd" | wc -l) descriptors $_p"; done; }
kilobytes() { for _p in $(children) $supervisor; do awk '/^Rss(Anon|Shmem)/ { s += $2 } END { print s }' "/proc/$_p/status"; done |
	awk '{ s += $1 } END { print s }'; }

for u in $both; do
	begin --userns "$u"
	attack one
	attack mapped
	held=$(holds) rss=$(kilobytes)
	attack flood "$processes" "$threads"
	is "userns $u: $calls calls of socket(2) at once: each is answered" "$out" "made $calls failed 0"
	others_answer "after that"
	[ -n "$slow" ] || attack every
	[ -n "$slow" ] || is "userns $u: of all families, types and protocols it got UNIX, IPv4, IPv6 and netlink" "$(echo $out)" "1 2 10 16"
	[ -n "$slow" ] || attack odd
	[ -n "$slow" ] || like "userns $u: wrong arguments are refused, and the guest goes on" "$status $out" '^0 returned [0-9]+$'
	host "$VRUN" -q --enter $name -- hostile close "$secs" >"$tmp/closed" &
	closing=$!
	others_answer "while descriptors are closed under the broker's hands"
	wait "$closing"
	is "userns $u: closing what the broker gives harms nobody" "$(cat "$tmp/closed")" closed
	attack end "$rounds"
	is "userns $u: $rounds callers that end in the middle" "$out" ended
	attack freeze "$((rounds / 2))"
	is "userns $u: callers that are stopped, and killed" "$out" thawed
	attack mapped
	is "userns $u: pointers into files that the supervisor serves" "$out" "answered 400"
	attack hammer "$secs"
	is "userns $u: what else can be done with these files" "$out" hammered
	others_answer "after all that"
	attack one
	is "userns $u: the guest itself gets its answers" "$out" "$(printf 'socket 0 list 0 sysinfo 0 %d MemTotal: %14d kB' $((memory * 1024)) $((memory * 1024)))"
	is "userns $u: broker and supervisor are the same processes, and hold as many descriptors" "$(holds)" "$held"
	now=$(kilobytes)
	if [ "$now" -le $((rss + 1024)) ]; then pass "userns $u: and have not grown"; else fail "userns $u: and have not grown"; fi
	echo "# private memory of both: $rss KiB, afterwards $now"
	host "$VRUN" --kill $name
	wait "$guest" 2>/dev/null
done

# A broker that waits for ever: memory that its own guest serves.
host "$VRUN" -q --name $name-stall --root "$R" --ip 10.75.0.5 --userns no --seccomp none --cap-add SYS_PTRACE -- \
	hostile stall >"$tmp/stall" &
stalling=$!
if wait_for 10 grep -q . "$tmp/stall" && grep -q '^stalled' "$tmp/stall"; then
	others_answer "while a broker is stalled by userfaultfd"
	host "$VRUN" --kill $name-stall
	wait "$stalling" 2>/dev/null
	pass "and that guest can be ended"
else
	host "$VRUN" --kill $name-stall >/dev/null 2>&1
	skip "no userfaultfd: $(cat "$tmp/stall")"
fi

# --- many readers, and a supervisor that stops or dies -----------------------

host "$VRUN" -q --name $name-set --memory 64M --root "$R" -- sh -c "while view readers 20 $long; do [ ! -e /root/enough ] || { echo whole; break; }; done" >"$tmp/whole" 2>&1 &
reading=$!
is_there() { "$VRUN" --status "$1" >/dev/null 2>&1; }
wait_for 10 is_there $name-set
total() { "$VRUN" -q --enter $name-set -- awk '/^MemTotal/ { print $2 }' /proc/meminfo; }
is "--memory 64M, with 20 readers" "$(total)" 65536
"$VRUN" --set $name-set --memory 80M
ok "--set --memory 80M shows while they read" wait_for 5 sh -c \
	'[ "$("$1" -q --enter "$2" -- awk "/^MemTotal/ { print \$2 }" /proc/meminfo)" = 81920 ]' sh "$VRUN" "$name-set"
: >"$R/root/enough"
wait "$reading"
is "20 readers for $long s and more: nothing torn, nothing stale" "$status $(grep -v '^[0-9]* reads' "$tmp/whole")" "$status whole"

readers() { for _p in /proc/[0-9]*; do [ "$(cat "$_p/comm" 2>/dev/null)" = reader75 ] && echo "${_p#/proc/}"; done; }
left() {
	for _p in $readers; do
		_s=$(awk '/^State:/ { print $2 }' "/proc/$_p/status" 2>/dev/null)
		[ -z "$_s" ] || [ "$_s" = Z ] || echo "$_p"
	done | wc -l
}
# A request that the supervisor has read can't be taken back (fs/fuse/dev.c: request_wait_answer()), and who looks up the
# same name waits for that one's answer, unkillable too (d_alloc_parallel()): vrun(8), --virt.
most_are_gone() { [ "$(left)" -le 5 ]; }
no_readers() { [ "$(left)" = 0 ]; }
gone() { ! is_there $name; }
i=0 stuck=0
while [ $i -lt $stops ]; do
	i=$((i + 1))
	rm -f "$tmp/pid" "$tmp/up"
	"$VRUN" -q --name $name --pid-file "$tmp/pid" --memory 64M --root "$R" -- hostile readers 20 >"$tmp/up" &
	guest=$!
	wait_for 10 grep -q reading "$tmp/up" && wait_for 10 test -s "$tmp/pid"
	supervisor=$(cat "$tmp/pid")
	kill -STOP "$supervisor"
	readers=$(readers)
	# shellcheck disable=SC2086
	kill -KILL $readers
	wait_for 30 most_are_gone || stuck=$((stuck + 1))
	kill -KILL "$supervisor"
	wait "$guest" 2>/dev/null
	wait_for 30 no_readers || stuck=$((stuck + 100))
	wait_for 30 gone || stuck=$((stuck + 10000))
done
is "20 readers of a stopped supervisor, $stops times: they can be killed, but for what it was answering, and the guest ends with it" "$stuck" 0
i=0 stuck=0
while [ $i -lt $stops ]; do
	i=$((i + 1))
	rm -f "$tmp/pid" "$tmp/up"
	"$VRUN" -q --name $name --pid-file "$tmp/pid" --memory 64M --root "$R" -- hostile readers 20 >"$tmp/up" &
	guest=$!
	wait_for 10 grep -q reading "$tmp/up" && wait_for 10 test -s "$tmp/pid"
	readers=$(readers)
	kill -KILL "$(cat "$tmp/pid")"
	wait "$guest" 2>/dev/null
	wait_for 30 no_readers && wait_for 30 gone || stuck=$((stuck + 1))
done
is "20 readers of a supervisor that is killed, $stops times: nothing hangs, and the guest is gone" "$stuck" 0

# --- a vrun in a guest -------------------------------------------------------

cp "$VRUN" "$R/bin/vrun"
caps=SYS_ADMIN,SYS_PTRACE,SETPCAP,MKNOD,SYS_TIME
outer() { run "$VRUN" -q --root "$R" --init --userns no --ccap set_utsname,userns --cap-add "$caps" -- vrun "$@"; }
if "$VRUN" -q --root "$R" --userns no --cap-add "$caps" -- true 2>/dev/null; then
	# before Linux 6.12 (Landlock ABI 6) --ip host asks for it
	abstract=''
	"$VRUN" -q --root "$R" --ip host -- true 2>/dev/null || abstract='--share abstract'
	# shellcheck disable=SC2086
	outer -q $abstract --ip host --virt none -- true
	like "in a guest it says that there can be no second listener, and what needs none" "$status $err" \
		'^125 vrun: --seccomp: .*allows one such filter: none is needed with --ccap none --ip host --seccomp none$'
	# shellcheck disable=SC2086
	outer -q $abstract --virt uptime --ccap none --ip host --seccomp none -- echo nested
	is "with these it runs" "$status $out" "0 nested"
	# shellcheck disable=SC2086
	outer -q $abstract --virt uptime --ccap none --ip host --seccomp none -- hostile every
	is "under the outer guest's filter" "$(echo $out | tr ' ' '\n' | grep -vx -e 1 -e 2 -e 10 -e 16 -e 17)" ""
else
	skip "this root hasn't all of $caps"
fi
is "a vrun in a guest without these rights says which it lacks" "$("$VRUN" -q --root "$R" -- vrun -q -- true 2>&1)" \
	"vrun: starting a guest needs CAP_SYS_ADMIN, which this root doesn't have"

# --- what of the host's it can write to, and read ----------------------------

net() { host "$VRUN" -q --root "$R" --userns no --share abstract "$@"; }
run net --ip 10.75.0.5 --hide mount,proc -- awk '$5 == "/proc" { print substr($6, 1, 2) }' /proc/self/mountinfo
is "in the host's network, as the host's root, /proc is read-only" "$out" ro
run net --ip host --hide mount,proc -- awk '$5 == "/proc" { print substr($6, 1, 2) }' /proc/self/mountinfo
is "(control) with --ip host it is not" "$out" rw
for u in yes no; do
	run "$VRUN" -q --root "$R" --userns "$u" -- sh -c 'ls -A /proc/pressure /proc/irq /sys/kernel/irq /sys/fs/ext4 /sys/firmware 2>/dev/null |
		grep -v : ; cat /proc/interrupts /proc/modules /sys/kernel/slab/*/objects 2>/dev/null | wc -c'
	is "userns $u: nothing is to be had of interrupts, pressure, slabs and disks" "$(echo $out)" 0
done
run "$VRUN" -q --root "$R" --hide mount -- sh -c 'ls /proc/irq /sys/kernel/irq | wc -l'
isnt "(control) without --hide proc it is" "$out" 0

exec 7>&-
host "$VRUN" --kill "$name-other" 2>/dev/null
wait "$other" 2>/dev/null
kill "$holder"
wait 2>/dev/null
"$VRUN" --list >/dev/null 2>&1
leftovers_none "nothing is left behind"

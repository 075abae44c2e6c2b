#!/bin/sh
# Limits hold, in the guest and there alone; whatever hierarchy has the controller.
# lane: alone
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"

vrun() { "$VRUN" -q --root "$R" --hide none --virt none "$@"; }
# A number of the exit line: event KEY.
figure() { sed -n "s/.*\"event\":\"exit\".*\"$1\":\([0-9]*\).*/\1/p" "$tmp/status"; }
between() { [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]; }

# Which hierarchy has it: v1's or v2's own directory.
has() {
	grep -qw "$1" "$(cgroup2_dir)/cgroup.controllers" ||
		awk -v c="$1" '$3 == "cgroup" && $4 ~ "(^|,)" c "(,|$)" { f = 1 } END { exit !f }' /proc/mounts
}

# --- memory ------------------------------------------------------------------

if has memory; then
	# dd with one block of 200 MB takes that much memory.
	hungry="dd if=/dev/zero of=/dev/null bs=200M count=1"
	ok "control: without a limit 200 MB are to be had" vrun -- sh -c "$hungry"
	exec 3>"$tmp/status"
	run vrun --memory 64M --status-fd 3 -- sh -c "$hungry; echo alive"
	exec 3>&-
	is "--memory 64M: what wants 200 MB is killed, the guest lives on" "$out" alive
	like "the exit line counts it" "$(figure oom_kills)" '^[1-9]'
	[ -z "$(figure memory_peak_bytes)" ] ||
		ok "the peak is at the limit, not above" between "$(figure memory_peak_bytes)" 60000000 67108864
	exits "the command's own death by want of memory is KILL" 137 vrun --memory 64M -- dd if=/dev/zero of=/dev/null bs=200M count=1
	like "and vrun says why" "$("$VRUN" --root "$R" --memory 64M -- sh -c "$hungry" 2>&1)" 'killed for want of memory'
	# /dev/shm and /tmp are memory, too.
	exits "a tmpfs is charged to the guest" 137 vrun --memory 32M -- dd if=/dev/zero of=/dev/shm/x bs=1M count=100
	exec 3>"$tmp/status"
	run vrun --memory 64M --swap 0 --status-fd 3 -- sh -c "$hungry; echo alive"
	exec 3>&-
	is "--swap 0 is the default spelt out" "$out" alive
	ok "--memory inf is no limit" vrun --memory inf -- sh -c "$hungry"
else
	skip "no memory controller anywhere"
fi

# --- processes ---------------------------------------------------------------

if has pids; then
	exec 3>"$tmp/status"
	# A shell that can't fork says so: then there were as many as there may be.
	bomb='mkfifo /tmp/p; f() { f | f & }; f 2>/tmp/full & i=0
		until [ -s /tmp/full ] || [ $i = 60 ]; do read -t 1 x <>/tmp/p; i=$((i + 1)); done; echo alive'
	run vrun --pids 20 --status-fd 3 -- sh -c "$bomb"
	exec 3>&-
	is "--pids 20: a fork bomb ends in the guest" "$out" alive
	[ -z "$(figure pids_peak)" ] || is "which never had more than 20" "$(figure pids_peak)" 20
	ok "--pids counts all of the guest: 3 are enough for one command beside init" vrun --pids 3 -- sh -c 'true'
else
	skip "no pids controller anywhere"
fi

# --- CPU ---------------------------------------------------------------------

# A guest that would use all of one CPU, from one moment at which it has used up its quota to another: what it got is
# then the quota of the periods between, no more and, unless others had the CPU, no less.
busy_runs() { "$VRUN" -q --status "busy$$"; }
busy() {
	"$VRUN" -q --root "$R" --name "busy$$" --hide none --virt none "$@" -- sh -c 'while :; do :; done' >/dev/null 2>&1 &
	wait_for 10 busy_runs
	_xid=$("$VRUN" --status "busy$$" | awk '$1 == "xid" { print $2 }')
	cpu_stat=$(find /sys/fs/cgroup -path "*/vrun*$_xid/cpu.stat" -exec grep -l '^nr_periods' {} + 2>/dev/null | head -n 1)
	usage=$(cgroup2_dir)/vrun/$_xid/cpu.stat
}
# Sets now. By the shell alone: emulated, awk takes longer than a guest waits for its next period.
cpu_now() {
	now='' _periods=0
	while read -r _key _value; do
		[ "$_key" != usage_usec ] || now=$_value
	done <"$usage"
	while read -r _key _value; do
		[ "$_key" != nr_periods ] || _periods=$_value
	done <"$cpu_stat"
	now="$now $_periods"
}
# "CPU-time periods time", all but the periods in microseconds.
throttled() {
	_i=0
	while [ $_i -lt 300 ]; do
		cpu_now
		_a=$now
		sleep 0.01
		read -r _t _ </proc/uptime
		cpu_now
		[ "$_a" != "$now" ] || break
		_i=$((_i + 1))
	done
	echo "$_a ${_t%.*}${_t#*.}0000"
}
# cpu_share PERIOD SECONDS OPTION...: sets share, in thousandths of a CPU, by periods, and elapsed by the clock.
cpu_share() {
	_period=$1 _seconds=$2
	shift 2
	busy "$@"
	from=$(throttled)
	sleep "$_seconds"
	to=$(throttled)
	"$VRUN" -q --kill "busy$$"
	wait
	# shellcheck disable=SC2086
	set -- $from $to
	share=$((($4 - $1) * 1000 / (($5 - $2) * _period + ($5 == $2))))
	elapsed=$((($6 - $3 - ($5 - $2) * _period) / 1000))
}
cpu_free() {
	busy
	# shellcheck disable=SC2046
	cpu_now
	set -- $(tr -d . </proc/uptime) $now
	sleep 1
	# shellcheck disable=SC2046
	cpu_now
	set -- "$1" "$3" $(tr -d . </proc/uptime) $now
	"$VRUN" -q --kill "busy$$"
	wait
	free=$((($5 - $2) / ($3 - $1) / 100))
}
# share_is LOW HIGH PERIOD SECONDS OPTION VALUE: never more; less, twice, only on a machine that is busy.
share_is() {
	low=$1 high=$2
	shift 2
	cpu_share "$@"
	[ "$share" -ge "$low" ] || cpu_share "$@"
	shift 2
	[ "$share" -ge "$low" ] || cpu_free
	if [ "$share" -lt "$low" ] && [ "$free" -lt 90 ]; then
		skip "this machine is too busy to measure shares of it ($* gave $share ‰, no limit $free %)"
	else
		ok "$* is $low to $high thousandths of a CPU ($share)" between "$share" "$low" "$high"
		# the clock is read in hundredths, and at any moment of a period
		ok "the periods are the clock's ($elapsed ms)" between "$elapsed" -$((_period / 1000 + 50)) $((_period / 1000 + 50))
	fi
}
if has cpu; then
	share_is 475 525 100000 2 --cpus 0.5
	[ -n "$slow" ] || share_is 230 270 1000000 3 --cpu-rate 250/1000
fi
if has cpu && [ -z "${VRUN_KERNEL:-}" ]; then
	"$VRUN" -q --root "$R" --name "bucket$$" --cpu-rate 50/100,burst=50 -- \
		sh -c 'while :; do sleep 0.3; timeout 0.08 sh -c "while :; do :; done"; done' &
	bursts() { "$VRUN" --status "bucket$$" | grep -Eq '^ +bursts +[1-9]'; }
	ok "the bucket's burst is used after idling" wait_for 30 bursts
	ok "it is stopped" "$VRUN" --kill "bucket$$"
	wait
fi
for bad in "--cpus 0" "--cpus 0.001" "--cpus x" "--cpu-rate 10/5000" "--cpu-rate 10/100,burst=20" "--cpu-rate 0/10" \
	"--cpuset 1-" "--cpuset x" "--pids x" "--memory 5Q" "--io x" "--io /dev/null:rbps=1" "--rlimit nofile" \
	"--rlimit nofile=9:8" "--rlimit nosuch=1" "--sysctl kernel.hostname=x" "--sysctl kernel.shmmax=x"; do
	# shellcheck disable=SC2086
	exits "$bad is an error" 125 vrun $bad -- true
	like "which names the option, in one line or two" "$err" "^vrun: ${bad%% *}[ :=]"
done

if has cpuset; then
	is "--cpuset 0: that CPU and no other" \
		"$(vrun --cpuset 0 -- sh -c 'grep Cpus_allowed_list /proc/self/status' | tr -d '\t ')" "Cpus_allowed_list:0"
	exits "--cpuset with no CPU that is there is an error" 125 vrun --cpuset 60000 -- true
fi
if has memory; then
	run vrun --memory 4K -- true
	like "a --memory in which nothing starts is named" "$status $err" '^125 vrun: .*--memory'
fi
if has pids; then
	run vrun --pids 1 -- true
	like "so is a --pids" "$status $err" '^125 vrun: .*--pids'
fi
if has cpu; then ok "--cpu-weight is taken" vrun --cpu-weight 10 -- true; fi
if has cpu; then ok "--cpu-weight inf is the default" vrun --cpu-weight inf -- true; fi

# --- I/O ---------------------------------------------------------------------

disk=$(awk '$4 ~ /^(vda|sda|nvme0n1)$/ { print $4; exit }' /proc/partitions)
if { has io || has blkio; } && [ -b "/dev/$disk" ]; then
	ok "--io is taken" vrun --io "/dev/$disk:rbps=1M,wiops=100" -- true
	has io || like "v1: it says what it can't hold back" \
		"$("$VRUN" --root "$R" --io "/dev/$disk:rbps=1M" -- true 2>&1)" 'buffered writes'
	vrun --name "io$$" --io "/dev/$disk:rbps=1M" -- sleep 600 2>/dev/null &
	io=$!
	wait_for 30 sh -c "'$VRUN' -q --list | grep -qx io$$"
	# Its limits without the ones that v2 writes as max.
	limits_of() { "$VRUN" --status "io$$" | sed -n 's/^  io  *[0-9]*:[0-9]* //p' | tr ' ' '\n' | grep -v max | tr '\n' ' '; }
	is "--status shows it" "$(limits_of)" "rbps=1048576 "
	ok "--set --io" "$VRUN" -q --set "io$$" --io "/dev/$disk:wiops=100,wbps=inf"
	is "replaces the list" "$(limits_of)" "wiops=100 "
	if [ -b /dev/loop0 ] && "$VRUN" -q --set "io$$" --io /dev/loop0:riops=7; then
		is "other devices and all" "$(limits_of)" "riops=7 "
	fi
	not_ok "one that fails" "$VRUN" -q --set "io$$" --io "/dev/$disk:rbps=5M" --cpuset 60000
	like "leaves what there was" "$(limits_of)" '^(riops=7|wiops=100) $'
	"$VRUN" --kill "io$$"
	wait $io 2>/dev/null
fi

# --- rlimits, sysctls --------------------------------------------------------

is "--rlimit: soft and hard" "$(vrun --rlimit nofile=100:200 -- sh -c 'ulimit -Sn; ulimit -Hn' | tr '\n' ' ')" "100 200 "
is "one number is both" "$(vrun --rlimit core=0 --rlimit nofile=64 -- sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c' | tr '\n' ' ')" "64 64 0 "
not_ok "the guest's root can't raise it" vrun --rlimit nofile=64 -- sh -c 'ulimit -n 128'
is "--sysctl kernel.shmmax is the guest's" "$(vrun --sysctl kernel.shmmax=4096 -- cat /proc/sys/kernel/shmmax)" 4096
is "kernel.sem takes its four numbers" "$(vrun --sysctl 'kernel.sem=10 20 30 40' -- cat /proc/sys/kernel/sem | tr '\t' ' ')" "10 20 30 40"
isnt "and the host keeps its own" "$(cat /proc/sys/kernel/shmmax)" 4096
exits "not with a shared ipc namespace" 125 vrun --share ipc --sysctl kernel.shmmax=4096 -- true

# --- the caller's own --------------------------------------------------------

# In a cgroup of the test's own with a limit, as systemd-run -p MemoryMax=32M would.
in_limited() { sh -c 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"' sh "$limited" "$@"; }
hungry="dd if=/dev/zero of=/dev/null bs=60M count=1"
if has memory; then
	cg2=$(cgroup2_dir)
	if grep -qw memory "$cg2/cgroup.controllers"; then
		echo +memory >"$cg2/cgroup.subtree_control"
		limited=$cg2/test-limited$$
		mkdir "$limited" && echo 32M >"$limited/memory.max"
		[ ! -e "$limited/memory.swap.max" ] || echo 0 >"$limited/memory.swap.max"
	else
		limited=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)/test-limited$$
		mkdir "$limited" && echo 32M >"$limited/memory.limit_in_bytes"
		echo 32M >"$limited/memory.memsw.limit_in_bytes" 2>/dev/null
	fi
	exits "a limit on the caller's cgroup holds on the guest" 137 in_limited "$VRUN" -q --root "$R" -- $hungry
	exits "--memory can't lift it" 137 in_limited "$VRUN" -q --root "$R" --cgroup self --memory 500M -- $hungry
	if grep -qw memory "$cg2/cgroup.controllers"; then
		for limit in "--memory 16M" "--pids 9"; do
			# shellcheck disable=SC2086
			exits "--cgroup self $limit with another process in it is an error" 125 \
				in_limited sh -c '"$@"; exit $?' sh "$VRUN" -q --root "$R" --cgroup self $limit -- true
			like "which names it" "$err" "^vrun: ${limit% *}: cgroup /test-limited.* has other processes in it"
		done
		is "and leaves no directory" "$(find "$limited" -mindepth 1 -type d)" ""
	fi
	ok "what fits in runs" in_limited "$VRUN" -q --root "$R" -- true
	wait_for 3 rmdir "$limited" || echo "# $limited stays"
fi
cg2=$(cgroup2_dir)
if grep -qw pids "$cg2/cgroup.controllers"; then
	echo +pids >"$cg2/cgroup.subtree_control"
	limited=$cg2/test-limited$$
	mkdir "$limited" && echo 30 >"$limited/pids.max"
	exec 3>"$tmp/status"
	in_limited "$VRUN" -q --root "$R" --pids 500 --status-fd 3 -- sh -c "$bomb" >/dev/null 2>&1
	exec 3>&-
	like "a pids limit on the caller holds on the guest, whatever --pids says" "$(figure pids_peak)" '^(30)?$'
	wait_for 3 rmdir "$limited" || echo "# $limited stays"
fi

# --- --set -------------------------------------------------------------------

field() { "$VRUN" --status "$1" | awk -v f="$2" -v n="$3" '$1 == f { print $n }'; }
# (a command that forks would end where --pids leaves it no room)
"$VRUN" -q --root "$R" --name "set$$" --virt none -- sleep 6000 >/dev/null 2>&1 &
running() { "$VRUN" --status "$1"; }
wait_for 5 running "set$$"
if has memory && has pids; then
	ok "--set limits a guest that had none" "$VRUN" --set "set$$" --memory 64M --pids 33
	is "the memory limit is there" "$(field "set$$" memory 4)" 64.0M
	is "the pids limit is there" "$(field "set$$" pids 4)" 33
	ok "its processes are in it" [ "$(field "set$$" pids 2)" -ge 2 ]
	exits "a --set that fails half-way" 125 "$VRUN" --set "set$$" --pids 44 --cpuset 60000
	is "has changed nothing" "$(field "set$$" pids 4)" 33
	ok "inf lifts a limit" "$VRUN" --set "set$$" --memory inf --pids inf
	is "so it is" "$(field "set$$" memory 4) $(field "set$$" pids 4)" "inf inf"
	ok "it holds what runs" "$VRUN" --set "set$$" --pids 5
	not_ok "and what enters" "$VRUN" --enter "set$$" -- sh -c 'for i in 1 2 3 4 5 6; do sleep 5 & done; wait'
fi
if has cpu; then
	ok "--set --cpu-rate" "$VRUN" --set "set$$" --cpu-rate 20/100,burst=10
	like "is seen" "$("$VRUN" --status "set$$")" 'quota period +20000 100000'
	ok "--set --cpus over it" "$VRUN" --set "set$$" --cpus 1.5
	like "is seen, too" "$("$VRUN" --status "set$$")" 'quota period +150000 100000'
fi
ok "the guest ends" "$VRUN" --kill "set$$"
wait
leftovers_none "nothing is left of all this"

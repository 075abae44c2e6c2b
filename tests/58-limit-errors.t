#!/bin/sh
# Limits that can't be had: each is one line that names the option, the object and the reason, 125, and nothing is left;
# --set changes all that it was told to, or nothing, whatever it fails of and whatever kills it.
# limit: 120
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"
me=e58-$$

vrun() { "$VRUN" -q --root "$R" --hide none --virt none "$@"; }
cg2=$(cgroup2_dir)
v2() { grep -qw "$1" "$cg2/cgroup.controllers"; }
v1() { awk -v c="$1" '$3 == "cgroup" && $4 ~ "(^|,)" c "(,|$)" { print $2; exit }' /proc/mounts; }
has() { v2 "$1" || [ -n "$(v1 "$1")" ]; }

# --- words that are none -----------------------------------------------------

# OPTION|VALUE|REASON
while IFS='|' read -r option value reason; do
	run vrun "$option" "$value" -- touch /root/ran
	is "$option '$value'" "$status $err" "125 vrun: $option: '$value': $reason. Try 'vrun --help'."
done <<'END'
--rlimit|nofile|not NAME=SOFT[:HARD]
--rlimit|nosuch=1|no such rlimit (as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack)
--rlimit|nofile=9:8|the soft limit is above the hard one
--rlimit|nofile=1K|not a number
--rlimit|as=5Q|not a size (64M, 2G, plain bytes)
--cpuset|1-|not a list of CPUs (0-3,5)
--cpuset|3-1|not a list of CPUs (0-3,5)
--sysctl|kernel.shmmax|not KEY=VALUE
--sysctl|kernel.shmmax=x|the value is not a number
--sysctl|kernel.hostname=x|not one of the guest's own (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*)
--sysctl|net.ipv4.ip_forward=1|not one of the guest's own (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*)
--memory|0|nothing runs in 0 bytes
--swap|-1|not a size (64M, 2G, plain bytes)
--pids|0|too small
--cpus|0.001|too small (the kernel's least is 0.01)
--cpu-rate|10/5000|T is outside of 1-1000 ms, the kernel's bounds
--cpu-rate|10/100,burst=20|the burst is above R, the kernel's bound
--cpu-weight|10001|too large
--io|/dev/sda|not DEV:rbps=N,wbps=N,riops=N,wiops=N
--io|/dev/sda:rbps=0|too small
END
exits "an rlimit that is given twice" 125 vrun --rlimit core=0 --rlimit core=1 -- true
is "is named" "$err" "vrun: --rlimit: 'core=1': this rlimit was given before. Try 'vrun --help'."
exits "a sysctl that is given twice" 125 vrun --sysctl kernel.msgmni=1 --sysctl kernel.msgmni=2 -- true
is "is named, too" "$err" "vrun: --sysctl: 'kernel.msgmni=2': this key was given before. Try 'vrun --help'."

# --- what the kernel, the host or the caller doesn't have --------------------

says() { # SENTENCE LINE OPTION...: 125, and that line alone (an ERE)
	_says=$1 _line=$2
	shift 2
	run vrun "$@" -- touch /root/ran
	like "$_says" "$status $err" "^125 vrun: $_line\$"
	is "in one line" "$(printf '%s\n' "$err" | wc -l)" 1
}
nr_open=$(cat /proc/sys/fs/nr_open)
says "--rlimit nofile above fs.nr_open" "--rlimit nofile=$((nr_open + 1)): above $nr_open, the host's sysctl fs.nr_open" \
	--rlimit nofile=$((nr_open + 1))
# Without CAP_SYS_RESOURCE, which root may lack.
_vrun="$VRUN -q --root $R --hide none --virt none"
if command -v setpriv >/dev/null; then
	# shellcheck disable=SC2086,SC3045
	run sh -c 'ulimit -c 1 && exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource "$@"' sh \
		$_vrun --rlimit core=inf -- true
	is "--rlimit above the caller's hard limit" "$status $err" \
		"125 vrun: --rlimit core=inf: above $(sh -c 'ulimit -c 1; sed -n "s/^Max core file size *[0-9]* *\([0-9]*\).*/\1/p" /proc/self/limits'), the caller's hard limit (raising that needs CAP_SYS_RESOURCE)"
fi
says "--sysctl with a number that the kernel refuses" \
	"--sysctl kernel.shmmni=99999999999: write /proc/sys/kernel/shmmni: Invalid argument" --sysctl kernel.shmmni=99999999999
says "--sysctl kernel.sem, too" "--sysctl kernel.sem=1 2 3 99999999: write /proc/sys/kernel/sem: .*" \
	--sysctl "kernel.sem=1 2 3 99999999"
! has cpuset || says "--cpuset of no CPU that is there" "--cpuset 60000: not among the CPUs that there are to be used: [0-9,-]+" \
	--cpuset 60000
if [ -n "$(v1 memory)" ] && ! v2 memory; then
	for memory in "" "--memory inf"; do
		# shellcheck disable=SC2086
		says "--swap 0 $memory, v1" "--swap: needs a limit on --memory where the memory controller is cgroup v1" --swap 0 $memory
		# shellcheck disable=SC2086
		ok "--swap inf $memory is no limit" vrun --swap inf $memory -- true
	done
else
	! has memory || ok "--swap 0 alone, v2" vrun --swap 0 -- true
fi
! has memory || ok "--memory 64M --swap inf" vrun --memory 64M --swap inf -- true
says "--io of nothing" "--io '/dev/nosuch': No such file or directory" --io /dev/nosuch:rbps=1
says "--io of what is no disk" "--io '/dev/null': not a block device" --io /dev/null:rbps=1
# A number that no driver has.
mknod "$tmp/disk" b 240 77
if has io || has blkio; then
	says "--io of a disk that isn't there" \
		"--io: write '240:77 .*' to (io.max|blkio.throttle.read_bps_device) of guest [0-9]+'s cgroup: No such device.*" \
		--io "$tmp/disk:rbps=1M"
fi
not_ok "no command ran of all these" test -e "$R/root/ran"
leftovers_none "and nothing is left of them"

# --- --set: all, or nothing --------------------------------------------------

# What is limited, as --status tells it. Directories in which nothing is may stay.
all_cpus=$(cat "$(v1 cpuset)/cpuset.cpus" "$cg2/cpuset.cpus.effective" 2>/dev/null | head -n 1)
state() {
	"$VRUN" --status "$me" --json | sed 's/,"/\n"/g' | tr -d '{}' |
		grep -E '"(memory_limit_bytes|swap_limit_bytes|pids_limit|cpu_(max_us|burst_us|weight)|cpuset|set_unfinished|addresses)"' |
		grep -vE "\"(cpu_max_us\":\"(max [0-9]+)?|cpu_burst_us\":\"0?|cpu_weight\":\"(100)?|cpuset\":\"($all_cpus)?)\""
}
start() {
	begin "$me" --hide none --virt none -- sh -c 'sleep 600 & echo ready; wait'
	wait_for 20 grep -q ready "$tmp/out.$me" || fail "the guest's processes run"
}
refused() { # OPTIONS
	run "$VRUN" -q --set "$me" "$@"
	[ "$status" -eq 125 ] || echo "status $status for $*"
	[ "$(printf '%s\n' "$err" | wc -l)" -eq 1 ] || echo "more than one line for $*: $err"
	[ "$(state)" = "$before" ] || { echo "after $*:"; state; echo "and not:"; echo "$before"; }
}
good="--pids 44"
! has memory || good="$good --memory 80M --swap 0"
! has cpu || good="$good --cpu-rate 60/200,burst=10 --cpu-weight 77"
! has cpuset || good="$good --cpuset 0"
for given in "" "$good"; do
	start
	# shellcheck disable=SC2086
	[ -z "$given" ] || "$VRUN" -q --set "$me" $given
	before=$(state)
	is "--status shows as many limits as there are$given" "$(printf '%s\n' "$before" | grep -vc addresses)" \
		"$(echo "$given" | tr ' ' '\n' | grep -c '^--\|burst')"
	other="--pids 55"
	! has memory || other="$other --memory 90M"
	! has cpu || other="$other --cpus 1.5 --cpu-weight 88"
	: >"$tmp/wrong"
	for bad in "--cpuset 60000" "--io $tmp/disk:rbps=1M" "--ip 10.58.58.58"; do
		case $bad in
		*cpuset*) has cpuset || continue ;;
		*io*) has io || has blkio || continue ;;
		esac
		# shellcheck disable=SC2086
		refused $other $bad >>"$tmp/wrong"
		# shellcheck disable=SC2086
		refused $bad $other >>"$tmp/wrong"
	done
	is "--set of several, one of which can't be had, changes nothing${given:+, with limits before}" \
		"$(cat "$tmp/wrong")" ""
	# shellcheck disable=SC2086
	ok "--set without that one changes all" "$VRUN" -q --set "$me" $other
	isnt "so --status says" "$(state)" "$before"
	"$VRUN" -q --kill "$me"
	wait
done

# --- v1: processes are moved -------------------------------------------------

# --set gives a guest a directory in a v1 hierarchy, and moves its processes there. Who isn't found has ended, and may
# have forked first: so another look is due. strace plays a process that ends each time, at first.
pids=$(v1 pids)
if [ -n "$pids" ] && command -v strace >/dev/null; then
	start
	payload=$cg2/vrun/$("$VRUN" --status "$me" | awk '$1 == "xid" { print $2 }')/payload
	pid=$(tail -n 1 "$payload/cgroup.procs")
	ok "--set, while processes end" strace -qq -o "$tmp/trace" -e trace=openat -P "$pid/cgroup" \
		-e inject=openat:error=ENOENT:when=1..5 "$VRUN" -q --set "$me" --pids 50
	like "(they did)" "$(cat "$tmp/trace")" INJECTED
	like "every process is under the limit" "$(cat "/proc/$pid/cgroup")" "pids[^:]*:.*/vrun-[0-9]+\$"
	# Who always seems to end brings --set to freeze the guest. Killed then, it is to run again.
	frozen() { grep -q 'frozen 1' "$payload/cgroup.events"; }
	running() { ! frozen && [ "$(cat "$payload/cgroup.freeze")" = 0 ]; }
	for call in write close pread64; do
		case $call in pread64) file=$payload/cgroup.events ;; *) file=$payload/cgroup.freeze ;; esac
		"$VRUN" -q --set "$me" --pids inf
		# what a process of it needs to be looked for again
		exits "--set is killed at its $call of ${file##*/}" 137 strace -qq -o "$tmp/trace" -e trace=openat,$call \
			-P "$pid/cgroup" -P "$file" -e inject=openat:error=ENOENT -e inject=$call:signal=KILL "$VRUN" -q --set "$me" --pids 50
		ok "and the guest goes on" wait_for 20 running
	done
	ok "the same --set once more" "$VRUN" -q --set "$me" --pids 50
	unlike "completes it" "$("$VRUN" --status "$me")" 'has not finished'
	ok "--pause" "$VRUN" -q --pause "$me"
	ok "--set of a guest that is paused, while processes end" strace -qq -o "$tmp/trace" -e trace=openat -P "$pid/cgroup" \
		-e inject=openat:error=ENOENT "$VRUN" -q --set "$me" --pids 60
	ok "which stays so" frozen
	"$VRUN" -q --kill "$me"
	wait
else
	skip "no pids controller in a v1 hierarchy"
fi
leftovers_none "nothing is left of all this"

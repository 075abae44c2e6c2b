#!/bin/sh
# --virt mem,cpu,load: what tells a guest about the machine tells of the guest.
# lane: alone
. "$(dirname "$0")/lib.sh"
need root cgroup2
[ -c /dev/fuse ] || { skip "needs /dev/fuse"; exit 0; }
mktmp
make_root "$tmp/r"
chmod 700 "$tmp"
cp "$helpers/view" "$tmp/r/bin/view"
cp "$helpers/view" "$tmp/r/bin/reader71"        # a name that no other process has
leftovers_before
R=$tmp/r
cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c ^processor /proc/cpuinfo)
host_kb=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)

guest() { run "$VRUN" --root "$R" "$@"; }
word() { printf '%s\n' "$out" | awk -v k="$1" '$1 == k { print $2; exit }'; }
between() {
	if [ "${2:--1}" -ge "$3" ] && [ "$2" -le "$4" ]; then pass "$1"; else fail "$1"; echo "# $2 is not in $3..$4"; fi
}

# --- the values --------------------------------------------------------------

for u in yes no; do
	guest --userns "$u" --memory 64M --cpus 1 --cpuset 0 -- sh -c '
		cat /proc/meminfo; nproc; cat /sys/devices/system/cpu/online; grep -c ^cpu[0-9] /proc/stat
		grep -c ^processor /proc/cpuinfo'
	is "userns $u: --memory 64M is MemTotal" "$(word MemTotal:)" 65536
	between "userns $u: MemFree is what is left of it" "$(word MemFree:)" 40000 65536
	between "userns $u: MemAvailable too" "$(word MemAvailable:)" 40000 65536
	is "userns $u: there is no swap" "$(word SwapTotal:)" 0
	is "userns $u: nproc, online, stat and cpuinfo have CPU 0 and no other" \
		"$(printf '%s\n' "$out" | tail -n 4 | tr '\n' ' ')" "1 0 1 1 "
	guest --userns "$u" --memory 64M -- free
	like "userns $u: free says 65536 KiB" "$out" '^Mem: +65536 '
	guest --userns "$u" --memory 64M -- view sysinfo
	is "userns $u: sysinfo(2) says 64 MiB" "$(word total)" 67108864
	is "userns $u: in units of a byte" "$(word unit)" 1
	case $(uname -m) in
	x86_64)
		is "userns $u: to a 32-bit caller too" "$(word result32) $(word total32) $(word unit32)" "0 67108864 1"
		is "userns $u: and the same processes" "$(word procs32)" "$(word procs)" ;;
	*) skip "a 32-bit caller of sysinfo(2) needs x86_64" ;;
	esac
done
if [ "$host_kb" -gt 9000000 ]; then
	guest --memory 8G -- view sysinfo
	is "sysinfo(2) gives a 32-bit caller 8 GiB in pages" "$(word total32) $(word unit32)" "2097152 4096"
else
	skip "needs a host with more than 8 GiB"
fi
guest -- cat /proc/meminfo
is "without --memory MemTotal is the host's" "$(word MemTotal:)" "$host_kb"
guest --memory 64M --cpus 1 --virt none -- sh -c 'cat /proc/meminfo; cat /sys/devices/system/cpu/online'
is "--virt none: the host's memory" "$(word MemTotal:)" "$host_kb"
is "--virt none: and CPUs" "$(printf '%s\n' "$out" | tail -n 1)" "$(cat /sys/devices/system/cpu/online)"
guest --memory 64M --virt none -- view sysinfo
between "--virt none: sysinfo(2) says the host's" "$(word total)" $((host_kb * 1024)) $((host_kb * 1024))
guest --memory 64M --virt uptime,load -- sh -c 'free; cat /proc/loadavg'
between "--virt load: sysinfo(2) says the host's memory" "$(word Mem:)" "$host_kb" "$host_kb"

guest --memory 256M -- sh -c 'mkfifo /tmp/f; view spend 100 60 >/tmp/f & read -r _ </tmp/f
	sleep 0.2; cat /proc/meminfo; cat /proc/vmstat; kill %1'
between "memory in use is missing from MemFree" "$(word MemFree:)" 100000 165000
between "and stands in AnonPages" "$(word AnonPages:)" 100000 125000
between "and in vmstat's nr_anon_pages" "$(word nr_anon_pages)" $((100000 * 1024 / $(getconf PAGESIZE 2>/dev/null || echo 4096))) 40000

if [ "$cpus" -ge 2 ]; then
	guest --cpuset 1 -- sh -c 'cat /sys/devices/system/cpu/online; grep ^processor /proc/cpuinfo; grep ^cpu1 /proc/stat
		grep ^cpu0 /proc/stat; grep Cpus_allowed_list /proc/self/status'
	is "--cpuset 1: CPU 1 keeps its number" "$(printf '%s\n' "$out" | sed -n 1p)" 1
	like "--cpuset 1: in cpuinfo" "$out" '^processor.*: 1$'
	like "--cpuset 1: in stat" "$out" '^cpu1 '
	unlike "--cpuset 1: and CPU 0 is not there" "$out" '^cpu0 '
	like "--cpuset 1: as sched_getaffinity(2) has it" "$out" '^Cpus_allowed_list:	1$'
	for u in yes no; do
		guest --userns $u --cpuset 1 -- sh -c 'cd /sys/devices/system/cpu; echo cpu[0-9]*; cat cpu1/topology/core_id offline
			cat online possible present; for f in online kernel_max cpu1/online new; do echo 1 >$f && echo written; done
			umount /sys/devices/system/cpu; echo cpu[0-9]*; nproc --all'
		is "userns $u: --cpuset 1: CPU 1 alone has a directory, what is in it is the kernel's, and it can't be changed" \
			"$(echo $out)" "cpu1 $(cat /sys/devices/system/cpu/cpu1/topology/core_id) 1 1 1 cpu1 1"
	done
	guest --virt mem,load --cpuset 1 -- sh -c 'cd /sys/devices/system/cpu; echo cpu[0-9]*'
	is "(control) without --virt cpu the host's have" "$out" "$(cd /sys/devices/system/cpu && echo cpu[0-9]*)"
	guest --cpus 1 -- sh -c 'cd /sys/devices/system/cpu; cat online possible present'
	is "--cpus 1: one is online; its tasks may be on each that is possible" "$(echo $out)" \
		"0 $(cat /sys/devices/system/cpu/online) $(cat /sys/devices/system/cpu/online)"
	guest --cpus 1.5 -- cat /sys/devices/system/cpu/online
	is "--cpus 1.5 are two" "$out" 0-1
else
	skip "needs two CPUs"
fi

if [ "$(cat /sys/devices/system/node/online 2>/dev/null)" = 0 ]; then
	guest --memory 64M --cpuset 0 -- sh -c 'cd /sys/devices/system/node; cat online possible node0/cpulist node0/cpumap; echo *
		cat node0/meminfo node0/numastat; ls /sys/devices/system/memory; cat /sys/devices/system/cpu/cpu0/node0/distance'
	is "its memory node has its CPUs" "$(printf '%s\n' "$out" | head -n 5 | tr '\n' ' ')" \
		"0 0 0 1 has_cpu has_memory has_normal_memory node0 online possible "
	like "and its memory" "$out" '^Node 0 MemTotal: +65536 kB$'
	is "in this kernel's lines" "$(printf '%s\n' "$out" | sed -n 's/^Node 0 //p' | cut -d: -f1)" \
		"$(sed 's/^Node 0 //' /sys/devices/system/node/node0/meminfo | cut -d: -f1)"
	like "nothing of what the host allocated" "$out" '^numa_hit 0$'
	unlike "no blocks of memory" "$out" '^memory[0-9]'
	is "a CPU's link leads there" "$(printf '%s\n' "$out" | tail -n 1)" 10
	guest --virt cpu -- cat /sys/devices/system/node/node0/meminfo
	like "(control) without --virt mem it is the host's" "$out" "^Node 0 MemTotal: +$(awk '/MemTotal/ { print $4 }' \
		/sys/devices/system/node/node0/meminfo) kB"
else
	skip "needs a host with one memory node"
fi

guest --cpus 1 --cpuset 0 -- sh -c 'view spend 1 1; cat /proc/uptime; cat /proc/stat; cat /proc/uptime'
between "stat: the time it took is the guest's, in 1/100 s" \
	"$(printf '%s\n' "$out" | awk '$1 == "cpu" { print $2 + $3 + $4 }')" 90 200
is "stat: the CPUs' lines add up to the first" "$(printf '%s\n' "$out" | awk '
	$1 == "cpu" { t = $2 + $4 + $5 } $1 ~ /^cpu[0-9]/ { s += $2 + $4 + $5 } END { print (t == s) }')" 1
is "stat: and uptime's idle time is its idle time" "$(printf '%s\n' "$out" | awk '
	NF == 2 && !stat { before = $2 } $1 == "cpu" { stat = 1; idle = $5 / 100 } END { print (before - 0.3 < idle && idle < $2 + 0.3) }')" 1
# The kernel counts tasks by some states only: one that waits for a page at that moment is missing.
loadavg_counts() { "$VRUN" --root "$R" -- cat /proc/loadavg | grep -Eq ' [12]/2 [0-9]'; }
ok "loadavg: running and all are the guest's" wait_for 5 loadavg_counts
# Its last process: not one of the host's that looked in by /proc/PID/root.
"$VRUN" -q --name "last$$" --root "$R" -- sh -c 'echo >/root/up; while [ ! -e /root/go ]; do usleep 20000; done
	usleep 200000; exec cat /proc/loadavg' >"$tmp/last" &
wait_for 10 test -e "$R/root/up"
wait_for 10 "$VRUN" --status "last$$"
init=$("$VRUN" --status "last$$" | awk '$1 == "init" { print $2 }')
asked=$(cat "/proc/$init/root/proc/loadavg")
echo >"$R/root/go"
wait $!
rm "$R/root/up" "$R/root/go"
like "(control) the host may look" "$asked" ' [0-9]+/[0-9]+ [0-9]+ *$'
between "loadavg: the last process is the guest's, whoever looked before" "$(awk '{ print $5 }' "$tmp/last")" 1 "$((init - 1))"
# A sample each 5 s: 2 of 2 tasks make 0.16, 0.31, 0.46 ...  How many samples a
# sleep meets depends on the machine; each alone is the unit test's.
guest -- sh -c 'view spend 1 60 >/dev/null & view spend 1 60 >/dev/null &
	i=0; while [ $i -lt 40 ] && grep -q "^0.[01]" /proc/loadavg; do sleep 1; i=$((i + 1)); done
	cat /proc/loadavg; kill %1 %2'
between "loadavg: two busy processes raise it" "$(printf '%s\n' "$out" | sed 's/^\([0-9]*\)\.\([0-9][0-9]\).*/\1\2/; s/^0*//')" 20 150
is "loadavg: a guest that sleeps has none" \
	"$("$VRUN" --root "$R" -- sh -c 'sleep 6; cut -d " " -f 1 /proc/loadavg')" 0.00

# --- the form ----------------------------------------------------------------

# A file may end in blanks: its size stays when its numbers don't.
form() { sed 's/[0-9][0-9]*/#/g; s/  */ /g; s/ $//'; }
for f in meminfo vmstat; do
	is "$f has this kernel's lines in their order" "$("$VRUN" --root "$R" -- cat /proc/$f | form)" "$(form </proc/$f)"
done
is "meminfo has their width: the values end in the same columns" \
	"$("$VRUN" --root "$R" -- cat /proc/meminfo | awk '{ print $1, length }')" "$(awk '{ print $1, length }' </proc/meminfo)"
is "stat has this kernel's lines and fields" "$("$VRUN" --root "$R" -- cat /proc/stat | awk '{ print $1, NF }')" \
	"$(awk '{ print $1, NF }' </proc/stat)"
is "cpuinfo has this kernel's lines" "$("$VRUN" --root "$R" -- cat /proc/cpuinfo | cut -d: -f1)" "$(cut -d: -f1 </proc/cpuinfo)"
is "uptime and loadavg have their fields" "$("$VRUN" --root "$R" -- cat /proc/uptime /proc/loadavg | form)" \
	"$(cat /proc/uptime /proc/loadavg | form)"
is "swaps has its head" "$("$VRUN" --root "$R" -- head -n 1 /proc/swaps)" "$(head -n 1 /proc/swaps)"
guest -- sh -c 'echo x >/proc/meminfo; rm /proc/stat; chmod 777 /proc/uptime; mount -o remount,rw /proc/meminfo
	echo x >/proc/meminfo; umount /proc/meminfo; cat /proc/meminfo'
is "the guest changes none of it" "$(word MemTotal:)" "$host_kb"

# --- while it runs -----------------------------------------------------------

guest -- view hold /proc/uptime
is "a descriptor that is kept open follows" "$(echo "$out" | awk 'NR == 1 { a = $1 } END { print ($1 - a > 0.2) }')" 1
guest --memory 128M -- view readers 20 10
is "20 readers for 10 s: no torn line, none older than a second" "$status" 0
unlike "and none failed" "$out" 'torn|can.t be read'

"$VRUN" --name views$$ --memory 64M --pid-file "$tmp/pid" --root "$R" -- sh -c \
	'while :; do reader71 first /proc/meminfo >/root/total.new; mv /root/total.new /root/total; sleep 0.1; done' &
vrun=$!
wait_for 5 test -s "$R/root/total"
is "--set: before it, 64 MiB" "$(awk '{ print $2 }' "$R/root/total")" 65536
ok "--set --memory 96M on the running guest" "$VRUN" --set views$$ --memory 96M
ok "and its MemTotal is that" wait_for 3 grep -q 98304 "$R/root/total"

online() { [ "$("$VRUN" -q --enter views$$ -- cat /sys/devices/system/cpu/online | awk "{ print \$1 }")" = "$1" ]; }
allowed=$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status)
case $allowed in
*[-,]*)
	ok "a guest without limits of its CPUs has all of the caller's" online "$allowed"
	ok "--set --cpus 1" "$VRUN" --set views$$ --cpus 1
	ok "and it has one" wait_for 5 online "${allowed%%[-,]*}"
	last=${allowed##*[-,]}
	ok "--set --cpuset $last" "$VRUN" --set views$$ --cpuset "$last"
	ok "and that is it" wait_for 5 online "$last" ;;
*) skip "one CPU" ;;
esac

# --- a supervisor that is stopped, or killed ---------------------------------

pid=$(cat "$tmp/pid")
readers() { for p in /proc/[0-9]*; do [ "$(cat "$p/comm" 2>/dev/null)" = reader71 ] && echo "${p#/proc/}"; done; }
kill -STOP "$pid"
sleep 0.5
stuck() { reader=$(readers | head -n 1); [ -n "$reader" ]; }
wait_for 5 stuck
isnt "a reader waits while the supervisor is stopped" "$reader" ""
kill -KILL "$reader"
ended() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status"; }
ok "and can be killed" wait_for 3 ended "$reader"
kill -CONT "$pid"
rm -f "$R/root/total"
ok "and goes on when it goes on" wait_for 5 test -s "$R/root/total"
kill -STOP "$pid"
sleep 0.4
kill -KILL "$pid"
wait "$vrun" 2>/dev/null
no_readers() { [ -z "$(readers)" ]; }
ok "a supervisor killed while readers wait: none hangs" wait_for 5 no_readers
not_running() { ! "$VRUN" --status views$$ >/dev/null 2>&1; }
ok "and the guest is gone" wait_for 5 not_running

# --- a view that can't be had ------------------------------------------------

if grep -q ' /sys/fs/cgroup/memory cgroup ' /proc/mounts; then
	# shellcheck disable=SC2016 # expanded by the inner sh
	in_no_memory() { unshare -m --propagation private sh -c 'umount -l /sys/fs/cgroup/memory; exec "$@"' sh "$VRUN" "$@"; }
	run in_no_memory --root "$tmp/r" -- echo ran
	like "where no memory controller is mounted a start says that the guest sees the host's memory" \
		"$status $out $err" "^0 ran vrun: no memory controller is mounted; .*--virt"
	exits "and a --virt mem is refused" 125 in_no_memory --virt mem --root "$tmp/r" -- true
else
	skip "no v1 hierarchy of memory"
fi
"$VRUN" --list >/dev/null 2>&1
leftovers_none "nothing is left behind"

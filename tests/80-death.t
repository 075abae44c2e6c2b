#!/bin/sh
# Whatever kills whom, in any order: no process, mount or namespace of the guest remains, and the empty cgroup
# directories that a killed supervisor leaves are gone after the next vrun command.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"

marker=86399$$		# a sleep of its own length: found among all processes
alive() { grep -lz "^$marker\$" /proc/[0-9]*/cmdline 2>/dev/null | grep -q .; }
dead() { ! alive; }
sweep() { "$VRUN" --list >/dev/null 2>&1 || "$VRUN" --root "$R" -- true; }

start() {
	"$VRUN" --root "$R" "$@" -- sh -c "sleep $marker & setsid sleep $marker & sleep $marker" >/dev/null 2>&1 &
	pid=$!
	wait_for 5 alive || echo "# the guest did not start: $*"
}
# The positive control: without vrun such processes outlive their shell.
sh -c "setsid sleep $marker & echo \$! >$tmp/ctl" >/dev/null 2>&1
ok "control: a setsid sleep outlives the shell that started it" wait_for 3 alive
kill "$(cat "$tmp/ctl")"
wait_for 3 dead

for how in "" "--userns no" "--share pid --userns no" "--share pid" "--until last"; do
	# shellcheck disable=SC2086
	start $how
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	ok "a supervisor killed by KILL takes the guest with it (${how:-defaults})" wait_for 3 dead
	sweep
	leftovers_none "and the next vrun command leaves nothing of it (${how:-defaults})"
done

# A start looks at a few of all guests: after some starts it is gone, too, whether few guests run or many.
start --name "swept-$$"
wait_for 10 is_there "swept-$$"
xid=$("$VRUN" --status "swept-$$" | awk '$1 == "xid" { print $2 }')
ok "a guest has a directory in the register" [ -d "$(cgroup2_dir)/vrun/$xid" ]
kill -KILL "$pid"
wait "$pid" 2>/dev/null
wait_for 10 dead
ok "and starts of others alone remove it when its supervisor was killed" \
	wait_for 60 sh -c "'$VRUN' --root '$R' -- true; [ ! -e '$(cgroup2_dir)/vrun/$xid' ]"
leftovers_none "with all else"

cat >"$R/bin/stubborn" <<S
#!/bin/sh
trap '' TERM HUP INT
sleep $marker &
wait
sleep $marker
S
chmod +x "$R/bin/stubborn"
"$VRUN" --init --root "$R" -- /bin/stubborn >/dev/null 2>&1 &
pid=$!
wait_for 5 alive
kill -KILL "$pid"
wait "$pid" 2>/dev/null
ok "--init: pid 1 is a stranger and dies with the supervisor all the same" wait_for 3 dead
sweep
leftovers_none "--init: nothing is left"

start --stop-timeout 100
kill -TERM "$pid"
wait "$pid"
is "TERM to vrun ends the command, 143" $? 143
ok "and everything with it" wait_for 2 dead
"$VRUN" --stop-timeout 1 --name "stubborn$$" --root "$R" -- /bin/stubborn 2>"$tmp/err" &
pid=$!
wait_for 5 alive
wait_for 5 is_there "stubborn$$"        # until then TERM ends the start
kill -TERM "$pid"
wait "$pid"
is "a command that ignores TERM is killed after --stop-timeout, 137" $? 137
like "with a line that says so" "$(cat "$tmp/err")" 'not stopped'

# SIGKILL at any moment of the start: from the first millisecond on, in steps of 0.3 ms.
i=0
while [ $i -lt 60 ]; do
	"$VRUN" --root "$R" -- sleep "$marker" >/dev/null 2>&1 &
	pid=$!
	sleep "0.0$(printf %04d $((i * 3)))"
	kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	i=$((i + 1))
done
ok "a supervisor killed at any moment of the start leaves no process" wait_for 5 dead
sweep
leftovers_none "and nothing else after the next vrun command"

"$VRUN" --root "$R" -- sh -c 'kill -9 1; exit 5'
is "the guest can't kill its init" $? 5
run "$VRUN" --root "$R" -- sh -c "setsid sleep $marker & exit 4"
is "what still runs when the command ends is killed, the status stays" "$status" 4
like "and a line says how many" "$err" '^vrun: .*1 process still ran'
ok "none of it is left" wait_for 2 dead

# --- over and over -------------------------------------------------------------

# What the kernel holds for all: open files, its own memory in KB.
files() { cut -f 1 /proc/sys/fs/file-nr; }
kernel_kb() { awk '/^(SUnreclaim|KernelStack|PageTables|Percpu|VmallocUsed):/ { n += $2 } END { print n }' /proc/meminfo; }
as_before() { [ "$(files)" -le $((files_before + 300)) ] && [ "$(kernel_kb)" -le $((kb_before + 8192)) ]; }

runs=100
[ -z "${VRUN_LONG:-}" ] || runs=1000
i=0
while [ $i -lt $runs ]; do
	# From the tenth on: what is made once and stays (caches, /vrun) is there.
	[ $i -ne 10 ] || { files_before=$(files) kb_before=$(kernel_kb); }
	"$VRUN" --root "$R" -- true || { fail "$runs runs in a loop"; break; }
	i=$((i + 1))
done
[ $i -lt $runs ] || pass "$runs runs in a loop all end well"
leftovers_none "and leave the host as it was"
if [ -n "${VRUN_LONG:-}" ]; then
	ok "to the open files and the kernel's own memory, 8 KB a run" wait_for 120 as_before
	echo "# files $files_before, then $(files); kernel's memory $kb_before KB, then $(kernel_kb)"
fi

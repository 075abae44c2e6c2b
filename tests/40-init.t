#!/bin/sh
# Guest pid 1: how it waits for COMMAND, what becomes of orphans, and what the guest can do to its init or
# through it.
. "$(dirname "$0")/lib.sh"
need root cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
leftovers_before

# --- status ------------------------------------------------------------------

bad=''
for n in 0 1 2 3 7 63 64 124 125 126 127 128 129 200 254 255; do
	"$VRUN" --root "$R" -- sh -c "exit $n" </dev/null 2>/dev/null
	got=$?
	[ $got -eq $n ] || bad="$bad $n:$got"
done
is "every exit status of the command is vrun's" "$bad" ""
# 2 INT, 3 QUIT, 6 ABRT, 9 KILL, 11 SEGV, 13 PIPE, 15 TERM, 34 and 64 real-time
for n in 1 2 3 6 9 10 11 13 14 15 34 64; do
	(ulimit -c 0; exec "$R/bin/busybox" sh -c "kill -$n \$\$; exit 77") </dev/null 2>/dev/null
	native=$?		# whoever runs this may have it ignore some
	(ulimit -c 0; exec "$VRUN" --root "$R" -- sh -c "kill -$n \$\$; exit 77") </dev/null 2>/dev/null
	got=$?
	[ $got -eq $native ] || bad="$bad $n:$got"
done
is "a command that a signal ends has vrun end of the same" "$bad" ""

# --- pid 1 -------------------------------------------------------------------

run "$VRUN" --root "$R" --name "secretive$$" -e TOKEN=hidden -- sh -c 'tr -d "\0" </proc/1/cmdline; cat /proc/1/environ'
is "/proc/1/cmdline says nothing of the host's" "$out" init
like "/proc/1/environ can't be read" "$err" 'Permission denied'
# The same where somebody can look at a process of vrun's from its birth on.
cp "$helpers/spy" "$R/bin/spy" || exit 1
for how in join enter; do
	case $how in
	join) "$VRUN" -q --root "$R" --name "spied$$" -- spy 3 >"$tmp/spied" </dev/null & ;;
	enter) "$VRUN" -q --root "$R" --name "spied$$" --init -e TOKEN=hidden -- sh -c 'spy 3 | cat' >"$tmp/spied" </dev/null & ;;
	esac
	pid=$!
	wait_for 10 grep -q ready "$tmp/spied"
	# Again and again, for as long as it looks: on a busy machine few fit into that time.
	while kill -0 "$pid" 2>/dev/null; do
		case $how in
		join) "$VRUN" -q --root "$R" --join "pid=spied$$" -e TOKEN=hidden -- true ;;
		enter) "$VRUN" --enter "spied$$" --tty no -- true </dev/null ;;
		esac
	done 2>/dev/null
	wait "$pid"
	like "(the guest looks, $how)" "$(cat "$tmp/spied")" '^(init|true)'
	unlike "nor do vrun's processes on their way into a guest ($how)" "$(cat "$tmp/spied")" hidden
done
run "$VRUN" --root "$R" -- sh -c 'ls -l /proc/1/exe /proc/1/root /proc/1/cwd; ls /proc/1/fd; cat /proc/1/mem'
unlike "nor its exe, root, fd or memory" "$out" '[-]>|^[0-9]|^[^l]'
run "$VRUN" --root "$R" -- sh -c 'for s in 1 2 3 4 6 7 8 9 10 11 13 14 15 17 19 20 21 22 34 64; do kill -$s 1; done; sleep 0.1; exit 5'
is "no signal of the guest's root ends or stops its init" "$status" 5
like "COMMAND is a child of pid 1's, in its session and a process group of its own" \
	"$("$VRUN" --root "$R" -- sh -c 'cut -d" " -f1,4-6 /proc/self/stat; exit' </dev/null)" '^[0-9]+ ([0-9]+) \1 1$'

# Each of them leaves a zombie to its parent, which ends at once; pid 1 must take them all.
cat >"$R/bin/forks" <<'S'
#!/bin/sh
i=0
while [ $i -lt 200 ]; do
	(sleep 0.01 & )
	i=$((i + 1))
done
n=1
t=0
while [ $t -lt 200 ]; do
	t=$((t + 1))
	n=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)
	left=$(ps -o comm | grep -c sleep)
	[ "$n" -gt 0 ] || [ "$left" -gt 0 ] || break
	sleep 0.1
done
echo "zombies $n sleeps $left"
S
chmod 755 "$R/bin/forks"
for share in "" "--share pid --userns no"; do
	# shellcheck disable=SC2086
	run "$VRUN" --root "$R" $share -- sh -c '
		i=0; while [ $i -lt 200 ]; do (sleep 0.0123 &); i=$((i + 1)); done
		i=0; while [ $i -lt 200 ] && cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" "\n" | grep -qx 0.0123; do i=$((i + 1)); sleep 0.1; done
		sleep 0.1; exit 6'
	is "200 orphans are reaped ($share)" "$status $err" "6 "
done
run "$VRUN" --root "$R" -- forks
is "none stays a zombie" "$out" "zombies 0 sleeps 0"

# --- what is left when COMMAND ends ------------------------------------------

run "$VRUN" --root "$R" -- sh -c 'sleep 1000 & sleep 1000 & setsid sleep 1000 & exit 3'
is "what still runs when COMMAND ends is killed, with a line that counts" "$status $(echo "$err" | sed 's/guest-[0-9]*/G/')" \
	"3 vrun: G: 3 processes still ran when the command ended: killed (--until last waits)"
run "$VRUN" -q --root "$R" -- sh -c 'sleep 1000 & exit 3'
is "-q: without the line" "$status $err" "3 "
run "$VRUN" --root "$R" --until last -- sh -c '(sleep 1; echo late) & exit 4'
is "--until last: the guest ends with its last process, the status is COMMAND's" "$status $out" "4 late"
"$VRUN" --root "$R" --until last -- sh -c 'sleep 1000 & setsid sleep 1000 & echo up; exit 4' leaver$$ >"$tmp/up" 2>"$tmp/err" </dev/null &
pid=$!
command_is_gone() { grep -q up "$tmp/up" && ! grep -qsa "leaver$$" /proc/[0-9]*/cmdline; }
wait_for 20 command_is_gone
kill -TERM $pid
wait $pid
is "--until last: TERM reaches what COMMAND left" "$? $(cat "$tmp/err")" "4 "
run "$VRUN" --root "$R" --share pid -- sh -c 'setsid sleep 1000 & exit 3'
is "--share pid: what is left is killed as well" "$status" 3

# --- signals -----------------------------------------------------------------

# Not INT and QUIT: a shell has what it starts with & ignore them, and so does the command then (41-tty.t has them).
for n in HUP USR1 USR2 ALRM PIPE VTALRM IO; do
	rm -f "$tmp/out"
	"$VRUN" --root "$R" -- sh -c "trap 'echo got; exit 9' $n; echo ready; while :; do sleep 0.05; done" \
		>"$tmp/out" </dev/null 2>&1 &
	pid=$!
	wait_for 5 grep -q ready "$tmp/out"
	kill -s $n $pid
	wait $pid
	is "$n to vrun goes to the command" "$? $(tail -n 1 "$tmp/out")" "9 got"
done
# Where nobody could continue it (an orphaned process group) the kernel stops nothing by TSTP, vrun no more than this.
sleep 100 &
pid=$!
kill -TSTP $pid
sleep 0.1
stopped=$(grep '^State:.T' /proc/$pid/status)
kill -KILL $pid
wait $pid 2>/dev/null
if [ -n "$stopped" ]; then
	"$VRUN" --root "$R" -- sh -c 'echo $$; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done' >"$tmp/out" </dev/null 2>&1 &
	pid=$!
	wait_for 5 grep -q 3 "$tmp/out"
	kill -TSTP $pid
	ok "TSTP to vrun stops it, after the command" wait_for 5 grep -q '^State:.T' /proc/$pid/status
	before=$(wc -l <"$tmp/out")
	sleep 0.4
	is "the command does nothing meanwhile" "$(wc -l <"$tmp/out")" "$before"
	kill -CONT $pid
	grown() { [ "$(wc -l <"$tmp/out")" -gt "$before" ]; }
	ok "CONT continues both" wait_for 5 grown
	kill -TERM $pid
	wait $pid
	is "TERM ends it" $? 143
else
	skip "TSTP stops nothing here"
fi

# --- CVE-2019-5736: the host's vrun by way of /proc/PID/exe ------------------

printf '#!/proc/self/exe --args-file=/fifo\n' >"$R/bin/self"
chmod 755 "$R/bin/self"
mkfifo "$R/fifo"
cp "$VRUN" "$tmp/vrun-copy"
chmod 755 "$tmp/vrun-copy"
# The process in the guest that is not init: a child of init.
in_guest() { cat /proc/"$(cat /proc/$1/task/$1/children | tr -d ' ')"/task/*/children; }
for userns in yes no; do
	"$tmp/vrun-copy" --root "$R" --userns $userns -- /bin/self </dev/null >"$tmp/out" 2>&1 &
	pid=$!
	wait_for 5 sh -c "tr '\\0' ' ' </proc/\$(cat /proc/\$(cat /proc/$pid/task/$pid/children | tr -d ' ')/task/*/children | tr -d ' ')/cmdline | grep -q args-file"
	victim=$(in_guest $pid | tr -d ' ')
	if [ -z "$victim" ]; then
		fail "userns $userns: a script of #!/proc/self/exe runs as vrun's image"
		cat "$tmp/out"
	else
		like "userns $userns: a script of #!/proc/self/exe runs as vrun's image" \
			"$(tr '\0' ' ' <"/proc/$victim/cmdline")" 'args-file'
		if [ $userns = no ]; then
			isnt "userns no: which is not the file on the host" \
				"$(stat -Lc %d:%i "/proc/$victim/exe")" "$(stat -c %d:%i "$tmp/vrun-copy")"
			chmod 777 "/proc/$victim/exe" 2>/dev/null
			not_ok "userns no: nobody can write to it" sh -c "echo x >>/proc/$victim/exe"
		else
			not_ok "userns yes: the guest's root can't change the file's mode" \
				nsenter -t "$victim" -U chmod 777 "/proc/$victim/exe"
			not_ok "userns yes: nor write to it" nsenter -t "$victim" -U sh -c "echo x >>/proc/$victim/exe"
		fi
		is "userns $userns: the host's file is what it was" "$(stat -c %a "$tmp/vrun-copy")" 755
	fi
	kill -KILL $pid
	wait $pid 2>/dev/null
done
cp "$R/bin/busybox" "$tmp/sleep"
"$tmp/sleep" 1000 &
control=$!
wait_for 5 sh -c "readlink /proc/$control/exe | grep -q '/sleep$'"
chmod 777 "/proc/$control/exe" 2>/dev/null
is "control: the exe of an ordinary process is a way to the file" "$(stat -c %a "$tmp/sleep")" 777
kill -KILL $control
wait $control 2>/dev/null

"$VRUN" --list >/dev/null 2>&1
leftovers_none "nothing is left of all this"

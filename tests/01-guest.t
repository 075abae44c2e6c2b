#!/bin/sh
# The first running thing: what issue number one of any launcher is judged by.
. "$(dirname "$0")/lib.sh"
need root cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
printf 'echo no x\n' >"$R/root/plain"

for u in yes no; do
	V="$VRUN --userns $u --root $R"
	# shellcheck disable=SC2086 # V is words
	{
	exits "userns $u: the guest's exit status is vrun's" 7 $V -- sh -c 'exit 7'
	exits "userns $u: a command that dies of TERM makes vrun die of TERM" 143 $V -- sh -c 'kill -TERM $$'
	exits "userns $u: a missing command is 127" 127 $V -- /bin/no-such
	like "userns $u: and its error names it" "$err" '^vrun: .*/bin/no-such'
	exits "userns $u: a file without x is 126" 126 $V -- /root/plain
	run $V -- sh -c 'grep -E "^(Uid|Groups)" /proc/self/status; echo /proc/[0-9]*'
	like "userns $u: COMMAND is the guest's root" "$out" '^Uid:	0	0	0	0$'
	unlike "userns $u: in no group but root's" "$out" '^Groups:.*[1-9]'
	run $V -- sh -c 'set -- /proc/[0-9]*; [ $# -le 4 ] && [ -d /proc/1 ]'
	is "userns $u: /proc shows only the guest's processes" "$status" 0
	run $V -- ls /proc/self/fd
	is "userns $u: descriptors 0 to 2 and no other (3 is ls reading)" "$(echo $out)" "0 1 2 3"
	is "userns $u: a pipe as stderr can be opened anew" "$($V -- sh -c 'echo through >/dev/stderr' 2>&1)" through
	}
done

run "$VRUN" --root "$R" -- sh -c 'touch /root/made; sleep 1' &
wait_for 5 test -e "$R/root/made"
is "files that the guest's root makes belong to 0 on disk" "$(stat -c %u:%g "$R/root/made")" 0:0
wait
exits "a root that isn't there is 125" 125 "$VRUN" --root /nonexistent -- true
like "and one line names the flag and the path" "$err" '^vrun: --root.*/nonexistent.*: No such file'
is "one line, no more" "$(printf '%s\n' "$err" | wc -l)" 1
exits "an unknown option is 125" 125 "$VRUN" --no-such
is "nothing on stdout" "$out" ""
like "and the option is named" "$err" 'no-such'
exits "vrun alone prints the synopsis, 125" 125 "$VRUN"

# processes of the guest run under xid<<16
"$VRUN" --xid 4242 --status-fd 9 --root "$R" -- sleep 60 9>"$tmp/status" &
pid=$!
wait_for 10 grep -q '"exec"' "$tmp/status"
init=$(sed -n 's/.*"pid":\([0-9]*\),.*/\1/p' "$tmp/status")
is "its processes run under xid<<16 on the host" "$(awk '/^Uid/ { print $2 }' "/proc/$init/status")" $((4242 << 16))
kill "$pid"
wait "$pid"

# --status-fd
"$VRUN" --status-fd 9 --root "$R" -- sh -c 'exit 3' 9>"$tmp/status"
run cat "$tmp/status"
like "--status-fd: a start line with name, xid and pid" "$out" '^\{"event":"start","name":"guest-[0-9]+","xid":[0-9]+,"pid":[0-9]+'
like "--status-fd: an exec line" "$out" '^\{"event":"exec"\}$'
like "--status-fd: an exit line with the code" "$out" '^\{"event":"exit","code":3,"wall_us":[0-9]+'
"$VRUN" --status-fd 9 --root "$R" -- /no 9>"$tmp/status" 2>/dev/null
run cat "$tmp/status"
like "--status-fd: a start that fails is an error line, no exec" "$out" '^\{"event":"error","message":"[^"]*/no'
"$VRUN" --status-fd 9 --root /nonexistent -- true 9>"$tmp/status" 2>/dev/null
like "--status-fd: an option that can't be done is one too" "$(cat "$tmp/status")" \
	'^\{"event":"error","message":"--root [^"]*/nonexistent'
for wrong in "--memory x --status-fd 9" "--status-fd 9 --no-such" "--status-fd 9 --cpus 1 --cpu-rate 5/10"; do
	# shellcheck disable=SC2086
	"$VRUN" --root "$R" $wrong -- true 9>"$tmp/usage" 2>/dev/null
	like "--status-fd: so is a command line that is wrong, $wrong" "$(cat "$tmp/usage")" \
		'^\{"event":"error","message":"[^"]*--(memory|no-such|cpus)'
done
unlike "--status-fd: and no exec line" "$out" '"event":"exec"'

# --pid-file
"$VRUN" --pid-file "$tmp/pid" --root "$R" -- sleep 1000 &
pid=$!
ok "--pid-file is in place once the command runs" wait_for 5 test -s "$tmp/pid"
is "with the supervisor's pid" "$(cat "$tmp/pid")" "$pid"
kill "$pid"
wait "$pid"
not_ok "--pid-file is gone at the end" test -e "$tmp/pid"
mkdir "$tmp/pids"
mkfifo "$tmp/pids/fifo" && ln -s fifo "$tmp/pids/link"
for there in fifo link; do
	exits "--pid-file doesn't replace a $there" 125 "$VRUN" --pid-file "$tmp/pids/$there" --root "$R" -- echo ran
	like "and says so" "$err" "^vrun: --pid-file '$tmp/pids/$there': is there, and is no regular file"
done
exits "--pid-file with COMMAND missing" 127 "$VRUN" --pid-file "$tmp/pids/none" --root "$R" -- nosuch
is "leaves nothing there" "$(ls -A "$tmp/pids")" "$(printf 'fifo\nlink')"
exits "a --pid-file that can't be made is an error" 125 "$VRUN" --pid-file /sys/none --root "$R" -- echo ran
is "before COMMAND runs" "$out" ""

# the caller's place
run unshare -pf "$VRUN" --root "$R" -- sh -c 'echo $PPID'
is "from a pid namespace whose /proc is another's a guest runs as ever" "$status $out $err" "0 1 "
run unshare -Ur "$VRUN" --root "$R" -- true
like "root of another user namespace is told that he is none" "$status $err" '^125 vrun: .*user namespace'

# a closed stdin, stdout, stderr
ok "a caller that closed 0-2 leaks no descriptor of ours" sh -c "'$VRUN' --root '$R' -- sh -c 'readlink /proc/self/fd/0 | grep -q null' <&- >&- 2>&-"

# the writer's end closes when the guest closes it
"$VRUN" --root "$R" -- sh -c 'exec >&-; i=0
	while [ ! -e /root/eof ] && [ $i -lt 300 ]; do i=$((i + 1)); sleep 0.1; done
	[ -e /root/eof ] && touch /root/went-on' 2>/dev/null | { cat; touch "$R/root/eof"; }
ok "a guest that closes its stdout ends the pipe's reader" wait_for 5 test -e "$R/root/went-on"

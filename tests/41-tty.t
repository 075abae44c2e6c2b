#!/bin/sh
# The guest's terminal, as a person at an interactive shell meets it: tests/attack/ptydrive.py plays the terminal
# and the person, and looks at the terminal's modes after each scenario.
# second-kernel: no
. "$(dirname "$0")/lib.sh"
need root cgroup2 tool:python3 tool:bash
mktmp
make_root "$tmp/r"
R=$tmp/r
leftovers_before
GUEST="$VRUN --root $R --"
export GUEST
drive() { ok "$2" python3 "$top/tests/attack/ptydrive.py" "$1"; }

drive names "a pty of the guest's own: tty, stty size, /dev/tty; no terminal of the host's"
drive resize "a new window size reaches the command"
drive interrupt "Ctrl-C reaches the command once, gives 130, and ends a shell's loop"
drive quit_key "Ctrl-\\ does"
drive eof "Ctrl-D ends the input"
drive suspend "Ctrl-Z stops vrun as a job of the shell, fg goes on, in a window of another size"
drive stop_bg_fg "Ctrl-Z, bg, fg"
drive background "& doesn't touch the terminal"
drive background_read "& stops when the command reads, as any job"
drive pipeline_stop "Ctrl-Z in a pipeline stops the guest's command too, fg continues it"
drive killed_stop "kill -TSTP of vrun: the same"
drive inner_shell "a shell in the guest has job control of its own"
drive substitution "x=\$(vrun ...) typed at a prompt, with input and with Ctrl-C"
drive reader_beside "a reader of /dev/tty in the same pipeline has every key"
drive poller_beside "also what was typed before it reads"
drive terminal_of_pipeline "a guest in a pipeline reads /dev/tty when it asks"
drive stdin_pipe "what is no terminal is passed on"
drive newlines "a line ends in one carriage return"
drive bulk "1 MB through the pty, every byte"
drive paste "20 KB typed at once arrive"
drive tty_yes "--tty yes: a terminal on 0-2 whatever they are"
drive endings "the terminal's modes are as before after exit, TERM, HUP, INT, a killed command"
drive guest_killed "and when somebody kills guest init"
drive hangup "a terminal that goes away takes the guest with it"
drive disowned "a disowned job outlives its terminal, and sleeps"
drive orphan "a reader in an orphaned group gets an end of file and doesn't spin"
drive vi "vi"
drive idle "no wake-ups while nothing happens"
GUEST="$VRUN --userns no --root $R --"
drive substitution "--userns no: x=\$(vrun ...)"
drive suspend "--userns no: Ctrl-Z and fg"
GUEST="$VRUN --"
drive names "without --root: a pty of the guest's own"
if command -v dash >/dev/null; then
	PTYDRIVE_SHELL='dash -i'
	export PTYDRIVE_SHELL
	drive suspend "the same under another shell: Ctrl-Z and fg"
	drive substitution "x=\$(vrun ...)"
	drive pipeline_stop "a pipeline"
	unset PTYDRIVE_SHELL
fi
# A guest that was started with & ignores INT and QUIT; what enters it must not.
"$VRUN" -q --name "tty-test$$" --root "$R" -- sleep 1000 >/dev/null 2>&1 &
entered=$!
wait_for 5 "$VRUN" --status "tty-test$$"
GUEST="$VRUN --enter tty-test$$ --"
for scenario in names resize interrupt suspend pipeline_stop inner_shell substitution terminal_of_pipeline bulk; do
	drive $scenario "--enter: the same ($scenario)"
done
kill -KILL $entered
wait $entered 2>/dev/null
GUEST="$VRUN --tty no --root $R --"
drive stdin_pipe "--tty no: pipes"
drive quit_key_cooked "--tty no: Ctrl-\\ reaches the command"

# Bytes that no terminal is concerned with.
head -c 10485760 /dev/urandom >"$tmp/data"
"$VRUN" --root "$R" -- cat <"$tmp/data" >"$tmp/copy"
ok "10 MB of a file through the guest" cmp "$tmp/data" "$tmp/copy"
# shellcheck disable=SC2002
cat "$tmp/data" | "$VRUN" --root "$R" -- sh -c 'cat | cat' | cat >"$tmp/copy"
ok "10 MB through pipes" cmp "$tmp/data" "$tmp/copy"
run sh -c "'$VRUN' --root '$R' -- sh -c 'echo out; echo err >&2' 2>/dev/null"
is "0-2 are told apart" "$out" out
run sh -c "'$VRUN' --root '$R' -- sh -c 'yes' | head -n 1"
is "a reader that goes away ends the command as it would anywhere" "$out" y
run "$VRUN" --root "$R" -- tty
is "without a terminal there is none" "$status $out" "1 not a tty"
run "$VRUN" --root "$R" -- sh -c 'echo x >/dev/tty'
isnt "nor a controlling one" "$status" 0
run "$VRUN" --root "$R" --tty yes -- sh -c 'tty; stty -a >/dev/null 2>&1 && echo modes'
is "--tty yes makes one" "$(echo "$out" | tr -d '\r')" "/dev/pts/0
modes"
leftovers_none "nothing is left of all this"

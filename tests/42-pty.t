#!/bin/sh
# The guest's pty where nothing but script(1) can play a terminal; 41-tty.t has the person who types.
. "$(dirname "$0")/lib.sh"
need root cgroup2 tool:script
mktmp
make_root "$tmp/r"
R=$tmp/r
leftovers_before

# A terminal of its own for each, with nobody at it; \r\n becomes \n.
on_terminal() {
	script -qec "$1" /dev/null </dev/null >"$tmp/screen" 2>&1
	status=$?
	out=$(tr -d '\r\004\000' <"$tmp/screen" | sed 's/\^[@D]//g; s/\x08//g')
}

on_terminal "'$VRUN' --root '$R' -- tty"
is "the guest has a pty of its own devpts" "$status $out" "0 /dev/pts/0"
on_terminal "'$VRUN' --root '$R' -- sh -c 'exit 42'"
is "the status comes through" "$status" 42
on_terminal "'$VRUN' --root '$R' -- sh -c 'ls -l /proc/self/fd/0 /proc/self/fd/2 | grep -c /dev/pts/0; test -r /dev/tty && echo x >/dev/tty'"
is "on 0 to 2, and as /dev/tty" "$out" "2
x"
on_terminal "stty rows 33 cols 77; '$VRUN' --root '$R' -- stty size"
is "with the terminal's size" "$out" "33 77"
on_terminal "stty -g >$tmp/before; '$VRUN' --root '$R' -- stty raw -echo; stty -g >$tmp/after"
ok "whatever it does to its terminal, the caller's has its modes back" cmp "$tmp/before" "$tmp/after"
on_terminal "'$VRUN' --root '$R' --user 1000 -- sh -c 'echo by name >/dev/pts/0; tty'"
is "it belongs to the command's user" "$status $out" "0 by name
/dev/pts/0"
on_terminal "'$VRUN' --root '$R' -- sh -c 'head -c 300000 /dev/zero | tr \"\\0\" x | fold -w 70; echo END'"
is "300 KB arrive, in lines" "$(printf '%s\n' "$out" | tr -d '\n' | wc -c)" 300003
on_terminal "'$VRUN' --root '$R' -- sh -c 'kill -KILL \$\$'"
is "a command that is killed is 137" "$status" 137
on_terminal "'$VRUN' --root '$R' -- true | cat; '$VRUN' --root '$R' -- sh -c 'test -t 1 || echo pipe' | cat"
is "what is a pipe stays one" "$out" pipe
on_terminal "'$VRUN' --init --root '$R' -- sh -c 'tty; echo \$\$; exit 3'"
is "--init has it as its console" "$status $out" "3 /dev/pts/0
1"

# All guests' come from one number.
cp "$helpers/hog" "$R/bin/hog"
quarter=$((($(cat /proc/sys/kernel/pty/max) - $(cat /proc/sys/kernel/pty/reserve) + 3) / 4))
is "(outside one process gets more than a quarter of what the host leaves to guests)" "$("$helpers/hog" terminals $((quarter + 1)))" \
	$((quarter + 1))
for u in yes no; do
	is "userns $u: a guest gets no more" "$("$VRUN" -q --tty no --userns $u --root "$R" -- hog terminals $((quarter + 1)))" $quarter
done
leftovers_none "nothing is left"

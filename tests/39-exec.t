#!/bin/sh
# How COMMAND is found and executed, and what it starts with.
# second-kernel: no
. "$(dirname "$0")/lib.sh"
need root cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r

printf '#!/bin/sh\necho "script $0 $*"\n' >"$R/bin/script"
printf 'echo "no first line $0 $*"\n' >"$R/bin/plain"
printf '#!/nowhere/interpreter\n' >"$R/bin/dangling"
printf 'not executable\n' >"$R/bin/file"
mkdir -p "$R/first" "$R/bin/dir"
printf '#!/bin/sh\necho first\n' >"$R/first/dup"
printf '#!/bin/sh\necho second\n' >"$R/bin/dup"
printf 'no right to run this\n' >"$R/first/shadow"
printf '#!/bin/sh\necho behind\n' >"$R/bin/shadow"
chmod 755 "$R"/bin/script "$R"/bin/plain "$R"/bin/dangling "$R"/first/dup "$R"/bin/dup "$R"/bin/shadow
chmod 644 "$R"/bin/file "$R"/first/shadow

for userns in yes no; do
	g() { run "$VRUN" --root "$R" --userns $userns "$@"; }
	g -- /bin/script a 'b c'
	is "userns $userns: a script has its name and arguments" "$out" "script /bin/script a b c"
	g -- script
	is "userns $userns: a name is looked up in the guest's PATH" "$out" "script /bin/script "
	g -- /bin/plain x
	is "userns $userns: a text without #! is the shell's, as execvp has it" "$out" "no first line /bin/plain x"
	g -e PATH=/first:/bin -- dup
	is "userns $userns: the first directory of PATH wins" "$out" first
	g -e PATH=/first:/bin -- shadow
	is "userns $userns: what may not be executed hides nothing behind it" "$out" behind
	g -e PATH=/nowhere: -w /first -- dup
	is "userns $userns: an empty PATH element is the working directory" "$out" first
	g -- nosuch
	is "userns $userns: a missing command is 127" "$status $err" "127 vrun: exec 'nosuch': No such file or directory"
	g -- ''
	is "userns $userns: so is an empty name" "$status" 127
	g -- /bin/nosuch
	is "userns $userns: and a path" "$status $err" "127 vrun: exec '/bin/nosuch': No such file or directory"
	g -- file
	is "userns $userns: a file without x is 126" "$status $err" "126 vrun: exec '/bin/file': Permission denied"
	g -- /bin/dir
	is "userns $userns: a directory is 126" "$status" 126
	g -- /bin/dangling
	is "userns $userns: a missing interpreter is said to be one" "$status $err" \
		"127 vrun: exec '/bin/dangling': its interpreter is not in the guest"
	g -- "$(printf 'a\033[31mb')"
	is "userns $userns: an error line has no escape sequences of a name" "$err" \
		"vrun: exec 'a\\x1b[31mb': No such file or directory"
	g -- sh -c 'ls /proc/self/fd | tr "\n" " "'
	# 3 is ls's own, on the directory.
	is "userns $userns: COMMAND has the descriptors 0 to 2" "$out" "0 1 2 3 "
	run sh -c "exec 5</dev/null 9</dev/null; exec '$VRUN' --root '$R' --userns $userns --keep-fd 9 -- \
		sh -c 'ls /proc/self/fd | tr \"\\n\" \" \"'"
	is "userns $userns: and those of --keep-fd under their numbers" "$out" "0 1 2 3 9 "
	g -- cat /proc/self/status
	like "userns $userns: no signal is blocked" "$out" '^SigBlk:	0000000000000000$'
	like "userns $userns: none ignored but by the caller" "$out" "^$(grep SigIgn /proc/$$/status)\$"
done
run sh -c "trap '' HUP USR1; grep SigIgn /proc/self/status; exec '$VRUN' --root '$R' -- grep SigIgn /proc/self/status"
is "what the caller ignores the command ignores (nohup)" "$(echo "$out" | sort -u)" "$(echo "$out" | head -n 1)"
like "which were two signals more" "$out" '201$|205$'

# The role by its name, which anybody can give: an exec that he could have done himself, or an error.
if command -v bash >/dev/null; then
	role() { run bash -c 'exec -a vrun-exec "$@"' bash "$VRUN" "$@"; }
	role
	isnt "the role of the last exec, by hand: no arguments are an error" "$status" 0
	role x y z
	is "no number is an error" "$status $(echo "$err" | wc -l)" "125 1"
	role 77 x true
	is "a descriptor that isn't open is an error" "$status $(echo "$err" | wc -l)" "125 1"
	role 2 x sh -c 'exit 7'
	is "else it executes" "$status" 7
	if id nobody >/dev/null 2>&1 && command -v setpriv >/dev/null; then
		chmod 711 "$tmp"
		cp "$VRUN" "$tmp/vrun-setuid" && chmod 4755 "$tmp/vrun-setuid"
		run setpriv --reuid nobody --clear-groups bash -c 'exec -a vrun-exec "$@"' bash "$tmp/vrun-setuid" 2 x id -u
		is "with privilege it refuses" "$status" 125
		chmod 700 "$tmp"
	else
		skip "no user nobody, or no setpriv"
	fi
else
	skip "no bash, whose exec can name a program"
fi

# Without a terminal a guest that stops itself stops vrun, and nobody who was started with it.
if command -v timeout >/dev/null && command -v setsid >/dev/null; then
	# shellcheck disable=SC2016 # for the inner shells
	run timeout 100 setsid sh -c 'timeout -k 1 1 "$1" --root "$2" -- sh -c "kill -TSTP \$\$; sleep 60"; echo "status $?"' \
		sh "$VRUN" "$R"
	like "a guest's TSTP doesn't stop the timeout(1) around it" "$out" '^status 1(24|37)$'
fi

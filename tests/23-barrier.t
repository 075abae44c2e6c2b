# What keeps a guest below its root: every way out that tests/helpers/escape.c
# knows, each first where it works (a positive control), then in guests.  The
# guests run with --seccomp none: what holds here is not the filter.
. "$(dirname "$0")/lib.sh"
need root userns tool:unshare tool:chroot
mktmp
users=${barrier_users:-yes no} cow=${barrier_cow:-yes}

make_root "$tmp/r" || exit 1
cp "$helpers/escape" "$tmp/r/escape" || exit 1
mknod "$tmp/r/node" c 1 11
secret=secret-$$-$(date +%s)
echo "$secret" >"$tmp/marker"
marker=$tmp/marker

"$tmp/r/escape" serve "vrun-escape-$$" >"$tmp/serving" &
accomplice=$!
at_exit "kill $accomplice 2>/dev/null"
wait_for 5 grep -q serving "$tmp/serving"

# Outside, in a mount namespace that is thrown away; fd 7 is a directory above.
in_chroot() { unshare -m --propagation private chroot "$tmp/r" /escape "$@" 7</; }
in_pivot() { unshare -m --propagation private "$tmp/r/escape" pivot-here "$tmp/r" "$@"; }
in_none() { unshare -m --propagation private "$tmp/r/escape" "$@"; }
in_guest() {
	_u=$1
	shift
	"$VRUN" -q --root "$tmp/r" --seccomp none --userns "$_u" -- /escape "$@" 7</
}
in_cow_guest() {
	"$VRUN" -q --root "$tmp/r" --cow tmpfs --seccomp none --userns "${users%% *}" -- /escape "$@" 7</
}

# try WAY WHERE-IT-WORKS WHAT-IT-IS [ARG]
try() {
	_way=$1 _where=$2 _what=$3
	shift 3
	if ! ok "control: $_what works in a $_where" "in_$_where" "$_way" "$marker" "$secret" "$@"; then return; fi
	for u in $users; do
		exits "$_what fails with --userns $u" 1 in_guest "$u" "$_way" "$marker" "$secret" "$@"
	done
	[ $cow = no ] || exits "$_what fails with --cow" 1 in_cow_guest "$_way" "$marker" "$secret" "$@"
}

# What depends on how the barrier was raised.
try chroot chroot "chroot to a subdirectory and cd .."
try fchdir chroot "fchdir to a directory opened before chroot"
try double-chroot chroot "chroot over and over"
try leaked-fd chroot "a directory that the caller left open"
try proc-root chroot "/proc/PID/root" $$
try setns chroot "setns to a mount namespace outside" $$
try umount pivot "umount -l /"
try move-mount pivot "moving a mount over /"
try pivot-root pivot "a second pivot_root"

if [ -z "${barrier_form_only:-}" ]; then
	try unix-fd chroot "a directory handed over through an abstract socket" "vrun-escape-$$"
	try ptrace chroot "ptrace of a process outside" $$
	try kill chroot "a signal to a process outside" $$
	try open-tree chroot "open_tree"
	try fsopen chroot "fsopen"
	try nested-userns none "a nested user namespace" nested
	try mknod chroot "making a device node and reading it"
	try old-node chroot "reading a device node that the root has" /node
	root_ino=$(stat -c %i "$(stat -c %m "$tmp" 2>/dev/null || echo /)" 2>/dev/null || echo 2)
	if run in_chroot handle "$marker" "$secret" "$root_ino" && [ "$status" -eq 0 ]; then
		try handle chroot "open_by_handle_at on the filesystem's root" "$root_ino"
	else
		skip "the filesystem of $tmp takes no made-up file handle: $out"
	fi
	exits "a nested user namespace that --ccap userns allows leads nowhere" 1 \
		"$VRUN" -q --root "$tmp/r" --userns "${users%% *}" --seccomp none --ccap userns -- \
		/escape nested-userns "$marker" "$secret"
fi

# The host renames a directory out of the root while the guest stands in it.
moved() {
	rm -rf "$tmp/r/a" "$tmp/b" "$tmp/r/moved"
	mkdir -p "$tmp/r/a/b"
	"$@" moved "$marker" "$secret" /a/b >"$tmp/moved.out" 2>&1 &
	_pid=$!
	wait_for 10 test -e "$tmp/r/a/b/ready"
	mv "$tmp/r/a/b" "$tmp/b"
	touch "$tmp/r/moved"
	wait $_pid
}
ok "control: cd .. from a directory moved out of a chroot gets out" moved in_chroot
for u in $users; do
	exits "cd .. from a directory moved out of the root fails with --userns $u" 1 moved in_guest "$u"
done

# --- what is left of the host ------------------------------------------------

for u in $users; do
	run "$VRUN" -q --root "$tmp/r" --userns "$u" -- /bin/sh -c 'cat /proc/self/mountinfo'
	is "the mount table begins at the guest's root (--userns $u)" \
		"$(printf '%s\n' "$out" | awk '$5 == "/" { n++ } END { print n }')" 1
	run "$VRUN" -q --root "$tmp/r" --userns "$u" -- /bin/sh -c \
		'for p in 1 self; do ls -di /proc/$p/root/ /.. / ; done | awk "{ print \$1 }" | sort -u | wc -l'
	like "/.. and /proc/1/root are the guest's / (--userns $u)" "$out" '^ *1$'
done

# Guest init was born before the tree, with all that vrun had open then.
for u in $users; do
	"$VRUN" -q --root "$tmp/r" --bind "$tmp:/mnt" --userns "$u" --tty no --status-fd 3 -- \
		/bin/sleep 60 3>"$tmp/status" </dev/null &
	sleeper=$!
	wait_for 10 grep -q '"exec"' "$tmp/status"
	init=$(sed -n 's/.*"event":"start".*"pid":\([0-9]*\).*/\1/p' "$tmp/status")
	for fd in "/proc/$init/fd"/*; do readlink "$fd"; done >"$tmp/fds"
	is "guest init has no file, directory or namespace of the host open (--userns $u)" \
		"$(grep -Ev '^(socket:|anon_inode:\[(signalfd|eventfd)\]|/memfd:vrun)' "$tmp/fds")" ""
	isnt "... but something" "$(wc -l <"$tmp/fds")" 0
	kill -KILL $sleeper
	wait $sleeper 2>/dev/null
done

# A chroot as the caller's place: a tree above that the barrier can't remove.
run unshare -m --propagation private sh -c '
	mkdir -p "$1/j/r" "$1/j/proc" && mount --bind "$1/j" "$1/j" && cp -a "$1/r/." "$1/j/r/" &&
	cp "$2" "$1/j/vrun" && mount -t proc proc "$1/j/proc" && mkdir -p "$1/j/sys/fs/cgroup" &&
	mount --rbind /sys "$1/j/sys" && exec chroot "$1/j" /vrun -q --userns no --root /r -- /bin/true' sh "$tmp" "$VRUN"
like "vrun in a chroot refuses to start a guest, and says why" "$status $err" '^125 .*chroot'

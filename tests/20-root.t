# The guest's file tree: what is in it, what the options put there, and what
# of the host's is not.
. "$(dirname "$0")/lib.sh"
need root userns
mktmp
umask 022
R=$tmp/r
make_root "$R" || exit 1
vrun() { "$VRUN" -q --root "$R" "$@"; }
both='yes no'
[ -z "${VRUN_KERNEL:-}" ] || both=yes	# emulated: ten times slower; 23-barrier.t has both
# Where in the guest is PATH mounted?
place='place() { df "$1" | awk "END { print \$NF }"; }'

# --- /dev --------------------------------------------------------------------

for u in $both; do
	run vrun --userns "$u" -- ls /dev
	is "/dev has the documented nodes and no other (--userns $u)" "$(echo $out)" \
		"fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
	run vrun --userns "$u" -- sh -c 'cd /dev; stat -c "%n %F %t:%T %a %u" null zero full random urandom tty'
	is "they are what their names say, for all to use, root's (--userns $u)" "$out" \
		"null character special file 1:3 666 0
zero character special file 1:5 666 0
full character special file 1:7 666 0
random character special file 1:8 666 0
urandom character special file 1:9 666 0
tty character special file 5:0 666 0"
	ok "they work (--userns $u)" vrun --userns "$u" -- sh -c \
		'echo x >/dev/null && ! echo x >/dev/full && [ "$(head -c 5 /dev/zero | wc -c)" = 5 ] &&
		[ "$(head -c 5 /dev/urandom | wc -c)" = 5 ]'
	is "/dev/stdout and /dev/stderr are the command's pipes (--userns $u)" \
		"$(vrun --userns "$u" -- sh -c 'echo to stderr >/dev/stderr; echo to stdout >/dev/stdout' 2>&1)" \
		"to stderr
to stdout"
	not_ok "no node can be made in /dev (--userns $u)" vrun --userns "$u" -- mknod /dev/x c 1 3
done
run vrun --tty yes -- sh -c 'tty; stat -c "%u %g %a" $(tty); stat -c "%u:%a" /dev/pts/ptmx'
is "a terminal is the first of the guest's own, root's, group tty's" "$(printf '%s' "$out" | tr -d '\r')" \
	"/dev/pts/0
0 5 620
0:666"

# --- roots that have little --------------------------------------------------

mkdir "$tmp/one" "$tmp/one/nothing"
cp "$R/bin/busybox" "$tmp/one/sh"
for u in $both; do
	run "$VRUN" -q --root "$tmp/one" --userns "$u" -- /sh -c 'echo $0 runs; [ ! -e /proc ] && [ ! -e /dev ]'
	is "a root with one static binary and nothing else (--userns $u)" "$status $out" "0 /sh runs"
	exits "... with a terminal, too (--userns $u)" 7 "$VRUN" -q --root "$tmp/one" --userns "$u" --tty yes -- /sh -c 'exit 7'
done
is "nothing was made in that root" "$(ls "$tmp/one" | tr '\n' ' ')" "nothing sh "

if _have kernel:squashfs && command -v mksquashfs >/dev/null; then
	mksquashfs "$R" "$tmp/r.sqsh" -no-progress -quiet -no-xattrs >/dev/null
	mkdir "$tmp/sq"
	if mount -o loop,ro "$tmp/r.sqsh" "$tmp/sq" 2>"$tmp/why"; then
		run "$VRUN" -q --root "$tmp/sq" -- sh -c 'id -u; echo x >/tmp/y && cat /tmp/y; touch /z'
		case $err in
		*"can't be idmapped"*"--userns no"*)
			pass "a squashfs that can't be idmapped is refused, naming --userns no" ;;
		*)
			like "a read-only squashfs is a root, with a /tmp to write to" "$(echo $out)" '^0 x$' ;;
		esac
		ok "... with --userns no" "$VRUN" -q --root "$tmp/sq" --userns no -- sh -c 'echo x >/tmp/y && ! touch /z'
		umount "$tmp/sq"
	else
		skip "no loop mount of a squashfs: $(cat "$tmp/why")"
	fi
else
	skip "no squashfs or mksquashfs"
fi

# --- files and their owners --------------------------------------------------

run vrun -- sh -c 'echo x >/root/new && chown 1000:50 /root/new && stat -c "%u:%g" /root/new /etc/passwd'
is "in the guest ids are 0 and up" "$(echo $out)" "1000:50 0:0"
is "on disk they are the same" "$(stat -c '%u:%g' "$R/root/new")" "1000:50"
rm -f "$R/root/new"
run vrun -- awk '$5 == "/" { print $6 }' /proc/self/mountinfo
like "the root is nodev" "$out" 'nodev'
unlike "... and not nosuid" "$out" 'nosuid'
for u in $both; do
	not_ok "--read-only: the root can't be written (--userns $u)" vrun --userns "$u" --read-only -- touch /etc/x
	ok "... but /tmp, /run, /dev/shm can (--userns $u)" vrun --userns "$u" --read-only -- touch /tmp/x /run/x /dev/shm/x
done

# --- tmpfs -------------------------------------------------------------------

run vrun -- sh -c "$place"'; for d in /tmp /run /run/lock /dev/shm; do stat -c "%n %a %u" $d; place $d; done'
is "/tmp, /run, /run/lock and /dev/shm are mounts of their own" "$out" "/tmp 1777 0
/tmp
/run 755 0
/run
/run/lock 1777 0
/run/lock
/dev/shm 1777 0
/dev/shm"
run vrun --tmpfs none -- sh -c "$place"'; place /tmp; place /run; place /dev/shm'
is "--tmpfs none drops them" "$(echo $out)" '/ / /dev'
run vrun --tmpfs /mnt:size=1M,mode=700 -- sh -c 'stat -c %a /mnt; df -k /mnt | tail -n 1'
like "--tmpfs DST:size=,mode=" "$(echo $out)" '^700 tmpfs 1024 0 1024'
run vrun --tmpfs /tmp:size=2M -- sh -c 'df -k /tmp | tail -n 1; grep -c " /tmp " /proc/mounts'
like "--tmpfs on a default one replaces it" "$(echo $out)" '^tmpfs 2048 .* 1$'
run vrun --tmpfs /nowhere -- true
like "--tmpfs on a missing mount point is an error that names it" "$status $err" '^125 vrun: .*/nowhere'
run vrun --tmpfs /run/a/b -- sh -c "$place; place /run/a/b"
is "mount points below a tmpfs of the guest's own are made" "$out" /run/a/b

# --- bind --------------------------------------------------------------------

mkdir "$tmp/src" "$tmp/src/sub"
echo content >"$tmp/src/f"
cp "$R/bin/busybox" "$tmp/src/true"
chmod 4755 "$tmp/src/true"
mknod "$tmp/src/node" c 1 3
chmod 666 "$tmp/src/node"
mount -t tmpfs below "$tmp/src/sub"
touch "$tmp/src/sub/deep"
at_exit "umount -l '$tmp/src/sub' 2>/dev/null"
B=$tmp/src:/mnt
for u in $both; do
	run vrun --userns "$u" --bind "$B" -- sh -c 'cat /mnt/f; ls /mnt/sub; awk "\$5 == \"/mnt\" { print \$6 }" /proc/self/mountinfo'
	like "--bind shows a directory with what is mounted below it (--userns $u)" "$(echo $out)" '^content deep '
	like "... nodev and nosuid (--userns $u)" "$out" 'nosuid.*nodev'
	not_ok "... no device of it opens (--userns $u)" vrun --userns "$u" --bind "$B" -- sh -c 'echo x >/mnt/node'
	not_ok "ro (--userns $u)" vrun --userns "$u" --bind "$B:ro" -- sh -c 'echo x >>/mnt/f'
	not_ok "ro holds below, too (--userns $u)" vrun --userns "$u" --bind "$B:ro" -- touch /mnt/sub/x
	not_ok "noexec (--userns $u)" vrun --userns "$u" --bind "$B:noexec" -- /mnt/true
	run vrun --userns "$u" --bind "$B:norec" -- ls /mnt/sub
	is "norec leaves out what is mounted below (--userns $u)" "$status $out" "0 "
done
run vrun --bind "$B" -- stat -c %u /mnt/f
is "without idmap the host's files are nobody's in a user namespace" "$out" 65534
not_ok "... and its root can't write them" vrun --bind "$B" -- sh -c 'echo x >>/mnt/f'
run vrun --bind "$B:idmap,norec" -- sh -c 'stat -c %u /mnt/f; echo more >>/mnt/f && chown 7 /mnt/f'
is "idmap: owners as on disk" "$out" 0
is "... both ways" "$(stat -c %u "$tmp/src/f")" 7
chown 0 "$tmp/src/f"
run vrun --bind "$tmp/none:/mnt" -- true
like "a source that isn't there is an error that names it" "$status $err" '^125 vrun: --bind .*none.*No such file'
exits "try: it is left out" 0 vrun --bind "$tmp/none:/mnt:try" -- true
run vrun --bind "$tmp/src/f:/etc/hosts" -- cat /etc/hosts
like "a file over a file" "$out" '^content'
run vrun --bind "$tmp/src/f:/mnt" -- true
like "a file over a directory is an error" "$status $err" '^125 vrun: --bind .*/mnt'
run vrun --bind "$tmp/src/sub:/mnt/sub" --bind "$B" -- ls -d /mnt/sub/deep /mnt/f
is "parents are mounted before children, whatever the order of the options" "$status" 0
run vrun --bind "$tmp/src:/proc" -- ls /proc
like "a bind replaces a default mount" "$out" '^true$'
mkdir "$tmp/a:b"
touch "$tmp/a:b/found"
run vrun --bind "$tmp/a\\:b:/mnt" -- ls /mnt
is "a colon in a path is written \\:" "$out" found
ln -s ../mnt "$R/var/link"
run vrun --bind "$tmp/src:/var/link" -- cat /mnt/f
like "a link on the way to a mount point stays in the root" "$out" '^content'
exits "--bind with the same place twice is an error" 125 vrun --bind "$B" --bind "$tmp:/mnt/" -- true
exits "--bind of a file on a directory is an error" 125 vrun --bind "$tmp/src/f:/mnt" -- true
is "which says what is wrong" "$err" "vrun: --bind '/mnt': a directory stands there, and the source is none"
is "no mount point was made in the root" "$(ls "$R/mnt")" ""

# --- a host that has not mounted cgroup2 -------------------------------------

# shellcheck disable=SC2016 # expanded by the inner sh
in_no_cgroup2() {
	unshare -m --propagation private sh -c 'while at=$(awk "/ - cgroup2 / { at = \$5 } END { print at }" /proc/self/mountinfo) && [ -n "$at" ]
		do umount -l "$at" || exit 1; done; exec "$@"' sh "$VRUN" -q --root "$R" "$@"
}
run in_no_cgroup2 -- sh -c 'grep -c " - cgroup2 " /proc/self/mountinfo; cat /sys/fs/cgroup/cgroup.procs | head -n 1'
is "where nobody has mounted cgroup2 the guest has its cgroup all the same" "$(echo $status $out $err)" "0 1 1"
run in_no_cgroup2 --init -- sh -c 'mkdir /sys/fs/cgroup/x && echo made'
like "and an --init may divide it, where it is delegated" "$status $out" '^0 made'

# --- devices -----------------------------------------------------------------

if [ -c /dev/console ]; then
	exits "--device /dev/console is the guest's terminal's name with --init" 125 vrun --init --device /dev/console -- true
	like "which the error says" "$err" "^vrun: --device '/dev/console': .*--init"
fi
if [ -c /dev/fuse ]; then
	run vrun --device /dev/fuse -- stat -c '%t:%T %a %u' /dev/fuse
	is "--device makes the host's node in the guest's /dev" "$out" "$(stat -c '%t:%T' /dev/fuse) 660 0"
fi
mkdir "$tmp/dev"
mount -t tmpfs dev "$tmp/dev"
at_exit "umount -l '$tmp/dev' 2>/dev/null"
run vrun --device /dev/nothing -- true
like "a device that isn't there is an error that names it" "$status $err" '^125 vrun: --device .*/dev/nothing.*No such'
run "$VRUN" -q --root "$tmp/one" --device /dev/null -- /sh -c :
like "a device where the root has no /dev is an error" "$status $err" '^125 vrun: --device .*/dev/null.*no /dev'
ok "a device that is there anyway is none" vrun --device /dev/null -- sh -c 'echo >/dev/null'
run vrun --device /dev/null:ro -- true
like "... unless with :ro, which it would not be" "$status $err" '^125 vrun: --device .*/dev/null.*has that name'
run vrun --device /dev/shm -- true
like "what is no device is refused" "$status $err" '^125 vrun: --device '
# Control: with the right to write, the guest's root does write.
ok "control: a device without :ro opens for writing" vrun --device /dev/kmsg --seccomp none -- sh -c ': >/dev/kmsg'
not_ok "PATH:ro does not" vrun --device /dev/kmsg:ro --seccomp none -- sh -c ': >/dev/kmsg'
not_ok "... nor after chmod" vrun --device /dev/kmsg:ro -- sh -c 'chmod 666 /dev/kmsg; : >/dev/kmsg'
run vrun --device /dev/kmsg:ro --userns no -- true
like "PATH:ro with --userns no is refused, since it would not hold" "$status $err" '^125 vrun: --device .*userns'

# --- /proc and /sys ----------------------------------------------------------

for u in $both; do
	# shellcheck disable=SC2016
	run vrun --userns "$u" -- sh -c 'for f in kallsyms keys interrupts modules iomem cmdline sysrq-trigger kcore kmsg; do
		[ ! -e /proc/$f ] || [ "$(dd if=/proc/$f bs=64 count=1 2>/dev/null | wc -c)" = 0 ] || echo $f; done'
	is "what /proc tells of the host is empty (--userns $u)" "$out" ""
	run vrun --userns "$u" -- sh -c 'for f in sys/kernel/core_pattern sys/kernel/modprobe sys/vm/drop_caches \
		sys/kernel/sysrq sys/user/max_user_namespaces sysrq-trigger irq/default_smp_affinity bus fs acpi/wakeup mtrr; do
		[ -d /proc/$f ] && { touch /proc/$f/x 2>/dev/null && echo $f; continue; }
		[ ! -e /proc/$f ] || ! ( : >>/proc/$f ) 2>/dev/null || echo $f; done'
	is "nothing of the host's can be set there (--userns $u)" "$out" ""
	run vrun --userns "$u" --hide none -- sh -c 'for f in sys/kernel/core_pattern sys/kernel/modprobe sys/vm/drop_caches \
		sys/kernel/sysrq sysrq-trigger irq/default_smp_affinity acpi/wakeup mtrr; do
		[ ! -e /proc/$f ] || ! ( : >>/proc/$f ) 2>/dev/null || echo $f; done'
	is "... nor with --hide none (--userns $u)" "$out" ""
	run vrun --userns "$u" -- sh -c 'find /sys -maxdepth 3 -type f -perm -200 2>/dev/null | head -n 60 | while read -r f; do
		( : >>"$f" ) 2>/dev/null && echo "$f"; done'
	is "/sys is read-only (--userns $u)" "$out" ""
	not_ok "the guest's cgroup is read-only (--userns $u)" vrun --userns "$u" -- mkdir /sys/fs/cgroup/x
done
ok "control: the host's root can open core_pattern for writing" sh -c ': >>/proc/sys/kernel/core_pattern'
like "--hide none shows /proc/interrupts" "$(vrun --hide none -- cat /proc/interrupts)" 'CPU0'
run vrun -- sh -c 'ls /proc | grep -c "^[0-9]"; cat /proc/1/comm'
like "/proc shows the guest's processes" "$(echo $out)" '^[2-5] '

# --- a root that holds other mounts ------------------------------------------

mount -t proc proc "$R/proc"
mount -t sysfs sys "$R/mnt"
run "$VRUN" --root "$R" -- sh -c 'ls /proc | grep -c "^[0-9]"; ls /proc/sys >/dev/null && stat -c %u /mnt/kernel /etc/passwd'
umount "$R/proc" "$R/mnt"
like "what can't be idmapped below a root is nobody's, the rest is as ever" "$(echo $out)" '^[2-5] 65534 0$'
like "... and a line says so" "$err" '^vrun: --root .*/mnt.*idmapped'

# Another procfs, of a chroot say, leads to the host by way of any process that
# isn't privileged: guest root need only take its user's id.
other=$(mktemp -d /var/tmp/vrun-t.XXXXXX)
mkdir "$other/proc"
chmod 755 "$other"
mount -t proc proc "$R/mnt"
mount -t proc proc "$other/proc"
at_exit "umount -l '$R/mnt' '$other/proc' 2>/dev/null; rmdir '$other/proc' '$other'"
"$helpers/rights" as 4242 "$(command -v sleep)" 100 &
stranger=$!
at_exit "kill $stranger"
wait_for 5 grep -q '^Uid:.4242' /proc/$stranger/status
ok "control: its user gets through the procfs to the host's root" \
	"$helpers/rights" as 4242 "$(command -v ls)" -d "$other/proc/$stranger/root/etc"
for u in $both; do
	is "a procfs below the root is not in the guest (--userns $u)" "$(vrun --userns "$u" -- ls /mnt)" ""
	is "... nor one below a bind (--userns $u)" \
		"$(vrun --userns "$u" --bind "$other:/var" -- sh -c 'ls /var; ls /var/proc')" proc
	like "a bind of a procfs by name is (--userns $u)" \
		"$(vrun --userns "$u" --bind /proc:/var -- ls /var)" '^cpuinfo$'
done
is "nor is one in the host's tree" "$("$VRUN" -q -- ls "$other/proc")" ""
umount "$R/mnt" "$other/proc"

# Another guest with the same root renames the directory that it stands in. VRUN_LONG=1: 300 guests.
times=15
[ "${VRUN_LONG:-0}" = 0 ] || times=300
mkdir -p "$R/x/p" "$R/y/p" "$other/x/p" "$other/y/p"
at_exit "umount -l '$R'/[xy]/p '$other'/[xy]/p 2>/dev/null; rm -rf '$other'/[xy]"
racers='' started=0 i=0
for d in "$R" "$other"; do
	mount -t proc proc "$d/x/p"
	"$helpers/exchange" "$d/x" "$d/y" &
	racers="$racers $!"
done
at_exit "kill $racers 2>/dev/null"
: >"$tmp/seen"
while [ $i -lt $times ]; do
	i=$((i + 1))
	# shellcheck disable=SC2016 # expanded in the guest
	vrun --userns no --bind "$other:/var" -- sh -c 'for p in /[xy]/p /var/[xy]/p; do ls -d $p/1; done' >>"$tmp/seen" 2>/dev/null
	[ $? -gt 124 ] || started=$((started + 1))
done
# shellcheck disable=SC2086
kill $racers
# shellcheck disable=SC2086
wait $racers 2>/dev/null
is "a procfs whose directory is renamed all the time is in none of $times guests" "$(cat "$tmp/seen")" ""
ok "(control) guests started" test $started -gt 0
umount -l "$R"/[xy]/p "$other"/[xy]/p 2>/dev/null
rm -rf "$R"/[xy] "$other"/[xy]
# One that another mount covers can't be reached, and keeps no guest from starting.
mkdir -p "$R/mnt/p" && mount -t proc proc "$R/mnt/p" && mount -t tmpfs none "$R/mnt"
run vrun -- ls /mnt
is "a procfs below another mount of the root doesn't matter" "$status:$out$err" "0:"
umount "$R/mnt" && umount "$R/mnt/p"
rmdir "$R/mnt/p"

# --- what the guest's own mounts cover ---------------------------------------

# CMD where the root has mounts of its own in places that the guest has of its own.
m='m() { mount -t tmpfs host-has-it "$1"; }'
among() {
	mkdir -p "$R/run/d" "$R/mnt" && touch "$R/run/f"
	# shellcheck disable=SC2016 # expanded by the inner sh
	run unshare -m --propagation private sh -c "$m"'
		m "$0/mnt" && mkdir "$0/mnt/a" && m "$0/mnt/a" && mkdir "$0/mnt/a/b" && m "$0/mnt/a/b" && m "$0/mnt/a/b" &&
		m "$0/run/d" && mkdir "$0/run/d/deep" && m "$0/run/d/deep" && mount --bind /etc/passwd "$0/run/f" &&
		m "$0/dev" && mkdir "$0/dev/shm" && m "$0/dev/shm" && m "$0/dev/shm" && m "$0/tmp" && m "$0/tmp" &&
		mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && "$@"' "$R" "$@"
	rm -rf "$R/run/f" "$R/run/d"
}
# The host's mounts in the table, and what is listed but isn't there, or twice.
# shellcheck disable=SC2016 # expanded in the guest
listed='awk "/host-has-it/ { print \$5 }" /proc/self/mountinfo; awk "{ print \$5 }" /proc/self/mountinfo | sort | uniq -d
	awk "{ print \$5 }" /proc/self/mountinfo | while read -r m; do [ -e "$m" ] || echo "$m"; done; echo :'
for u in $both; do
	among "$VRUN" -q --root "$R" --userns "$u" -- sh -c "$listed"
	is "what the guest's own mounts cover is not in its mount table (--userns $u)" "$(echo $out $err)" \
		"/mnt /mnt/a /mnt/a/b /mnt/a/b /mnt/a/b :"
	among "$VRUN" -q --root "$R" --userns "$u" --bind "$tmp/src:/mnt/a" -- sh -c "$listed; ls /mnt/a"
	like "nor what a bind covers (--userns $u)" "$(echo $out $err)" '^/mnt : .*f'
done
# shellcheck disable=SC2016
run unshare -m --propagation private sh -c "$m"'
	mkdir -p /run/vrun-t && m /run/vrun-t && m /dev/shm && m /dev/shm && m /mnt && "$@"' sh \
	"$VRUN" -q --bind "$tmp/src:/mnt" -- sh -c "$listed; ls /mnt /run"
like "nor without --root" "$(echo $out $err)" '^: /mnt: .*f .*/run: lock$'
rmdir /run/vrun-t

# --- the caller's own mounts stay as they are --------------------------------

# How many mounts are below the root once CMD has made root/started in it?
shared() {
	rm -f "$R/root/started"
	unshare -m --propagation private sh -c '
		mount --bind "$0" "$0" && mount --make-shared "$0" || exit 9
		"$@" >/dev/null 2>&1 &
		n=0
		while [ ! -e "$0/root/started" ] && [ $n -lt 300 ]; do n=$((n + 1)); sleep 0.1; done
		[ $n -lt 300 ] || echo it never started
		grep -c "$0/" /proc/self/mountinfo
		rm -f "$0/root/started"
		wait' "$R" "$@"
}
is "control: a mount in a copied namespace shows up in a shared one" \
	"$(shared unshare -m --propagation unchanged sh -c \
		"mount -t tmpfs t '$R/tmp'; touch '$R/root/started'
		while [ -e '$R/root/started' ]; do sleep 0.1; done; umount '$R/tmp'")" 1
is "nothing that a guest mounts does" "$(shared "$VRUN" -q --root "$R" -- sh -c \
	'touch /root/started; while [ -e /root/started ]; do sleep 0.1; done')" 0

# --- working directory -------------------------------------------------------

is "the working directory is /" "$(vrun -- pwd)" /
is "--workdir" "$(vrun --workdir /usr/bin -- pwd)" /usr/bin
run vrun --workdir /none -- true
like "a --workdir that isn't there is an error" "$status $err" '^125 vrun: --workdir .*/none'
run vrun --keep-fd 7 --workdir /proc/self/fd/7 -- sh -c 'ls' 7<"$tmp"
like "--workdir through a descriptor is refused" "$status $err" '^125 vrun: --workdir '
ok "control: such a path does lead out" sh -c 'cd /proc/self/fd/7 && [ -d src ]' 7<"$tmp"

run sh -c '"$0" -q --root "$1" -- true </etc' "$VRUN" "$R"
like "a directory on 0-2 is refused" "$status $err" '^125 vrun: descriptor 0 is a directory'
run sh -c '"$0" -q --root "$1" --keep-fd 0 -- ls /proc/self/fd/0/ </etc' "$VRUN" "$R"
like "... unless --keep-fd names it" "$out" '^passwd$'

# --- without --root ----------------------------------------------------------

host() { "$VRUN" -q "$@"; }
run sh -c 'cd /usr && "$0" -q -- sh -c "pwd; id -u"' "$VRUN"
is "without --root: the caller's directory and ids" "$(echo $out)" "/usr $(id -u)"
run sh -c 'cd "$1" && "$0" -q -- pwd' "$VRUN" "$tmp"
is "... or / where that directory isn't in the guest" "$out" /
not_ok "the host's tree is read-only" host -- touch "$top/vrun-was-here"
not_ok "... /var/tmp as well" host -- touch /var/tmp/vrun-was-here
run host -- sh -c 'touch /tmp/x /run/x && ls /tmp /run | tr "\n" " "'
like "/tmp and /run are the guest's own" "$(echo $out)" '^/run: lock x */tmp: x$'
run host -- awk '$5 == "/" { print $6 }' /proc/self/mountinfo
like "its mounts are ro, nosuid, nodev" "$out" '^ro,nosuid,nodev'
ok "--writable-root lets it be written" host --writable-root -- touch /var/tmp/vrun-was-here
rm -f /var/tmp/vrun-was-here
run unshare -m --propagation private sh -c '
	mount -t tmpfs e /etc && cp "$1/etc/passwd" "$1/etc/group" /etc/ && mkdir -p /run/vrun-t &&
	echo "nameserver 192.0.2.1" >/run/vrun-t/resolv && ln -s ../run/vrun-t/resolv /etc/resolv.conf &&
	"$2" -q -- cat /etc/resolv.conf; rm -rf /run/vrun-t' sh "$R" "$VRUN"
is "the file behind /etc/resolv.conf comes along" "$out" "nameserver 192.0.2.1"
run host --root / -- awk '$5 == "/" { print $6 }' /proc/self/mountinfo
like "--root / means the host's tree" "$out" '^ro,nosuid,nodev'
exits "--cow needs --root" 125 host --cow tmpfs -- true
exits "--writable-root is for the host's tree" 125 vrun --writable-root -- true

# --- who else can reach the root ---------------------------------------------

chmod 755 "$tmp" "$R"
if ! _have tool:stat || [ "$(stat -c %a "${tmp%/*}")" = 700 ]; then
	skip "everything is below a closed directory here"
else
	like "a root that others can reach is warned of" "$("$VRUN" --root "$R" -- true 2>&1)" '^vrun: --root .*setuid'
	is "... once" "$("$VRUN" --root "$R" -- true 2>&1 | wc -l)" 1
	chmod 700 "$R"
	like "chmod 700 on it is not enough" "$("$VRUN" --root "$R" -- chmod 755 / 2>&1)" '^vrun: --root .*a directory above'
	is "since the guest can undo that" "$(stat -c %a "$R")" 755
	chmod 700 "$R"
	run "$VRUN" -q --root "$R" -u 5 -- true
	like "and other users can't enter it, which an error says" "$status $err" "^125 vrun: chdir to / .* mode .*Permission"
	chmod 755 "$R"
fi
chmod 700 "$tmp"
is "on a directory above it is" "$("$VRUN" --root "$R" -- true 2>&1)" ""

cp "$R/etc/passwd" "$tmp/file"
is "for a file of --bind, too" "$("$VRUN" --root "$R" --bind "$tmp/file:/etc/passwd:idmap" -- true 2>&1)" ""

# --- nothing left ------------------------------------------------------------

leftovers_before
for i in 1 2 3; do
	vrun --cow tmpfs --bind "$B" -- true
	vrun --bind "$tmp/src/f:/mnt" -- true
done >/dev/null 2>&1
leftovers_none "after guests that ran and guests that didn't start nothing is left"

# --- the manual --------------------------------------------------------------

if [ -e "$top/guestfs.c" ]; then
	missing=
	for name in $(sed -n '/proc_table\[\]/,/^};/p' "$top/guestfs.c" | grep -o '"[^"]*"' | tr -d '"'); do
		grep -Eq "(^| )(/proc/)?$name( |\$)" "$top/man/vrun.8" || missing="$missing $name"
	done
	is "the manual names all that is covered in /proc" "$missing" ""
fi

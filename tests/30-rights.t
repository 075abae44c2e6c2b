# What COMMAND is and may: users, groups, capability sets, no_new_privs, the environment; and the callers.
. "$(dirname "$0")/lib.sh"
need root userns cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
cp "$helpers/rights" "$R/bin/rights"
cp "$helpers/rights" "$R/bin/suid"
chmod 755 "$R/bin/rights" && chmod 4755 "$R/bin/suid"

# The kernel's capabilities, and those that vrun itself has here.
last=$(cat /proc/sys/kernel/cap_last_cap)
all=$(((1 << (last + 1)) - 1))
own=$((0x$(awk '/^CapBnd/ { print $2 }' /proc/self/status)))
hex() { printf '%016x' "$1"; }
in_userns=$(hex $((all & ~(1 << 21))))
in_host=$(hex $((0xb04404fb & own)))

sets() { awk '/^Cap/ { printf "%s ", $2 } /^NoNewPrivs/ { print $2 }' "$@"; }
guest_sets() { "$VRUN" -q --root "$R" "$@" -- cat /proc/self/status 2>&1 | sets; }
zero=0000000000000000

# Inh Prm Eff Bnd Amb NoNewPrivs
is "in a user namespace guest root has all but SYS_ADMIN" "$(guest_sets)" \
	"$zero $in_userns $in_userns $in_userns $zero 0"
is "with --userns no it has the default list" "$(guest_sets --userns no)" \
	"$zero $in_host $in_host $in_host $zero 0"
is "a user has no capability" "$(guest_sets -u user)" "$zero $zero $zero $in_userns $zero 0"
is "--cap-drop takes from the bound" "$(guest_sets --cap-drop CHOWN,cap_sys_time)" \
	"$zero $(hex $((all & ~(1 << 21) & ~1 & ~(1 << 25)))) $(hex $((all & ~(1 << 21) & ~1 & ~(1 << 25)))) $(
	hex $((all & ~(1 << 21) & ~1 & ~(1 << 25)))) $zero 0"
for u in yes no; do
	is "userns $u: --cap-drop all leaves guest root nothing" "$(guest_sets --userns $u --cap-drop all)" \
		"$zero $zero $zero $zero $zero 0"
	is "userns $u: --cap-drop all --cap-add C leaves C" \
		"$(guest_sets --userns $u --cap-drop all --cap-add sys_chroot)" \
		"$zero $(hex $((1 << 18))) $(hex $((1 << 18))) $(hex $((1 << 18))) $zero 0"
done
is "--cap-add adds to the default list" "$(guest_sets --userns no --cap-add NET_RAW)" \
	"$zero $(hex $((0x$in_host | 1 << 13))) $(hex $((0x$in_host | 1 << 13))) $(hex $((0x$in_host | 1 << 13))) $zero 0"
is "a user gets what --cap-add names as ambient capabilities" "$(guest_sets -u user --userns no --cap-add NET_RAW)" \
	"$(hex $((1 << 13))) $(hex $((1 << 13))) $(hex $((1 << 13))) $(hex $((0x$in_host | 1 << 13))) $(hex $((1 << 13))) 0"
is "--no-new-privs is set" "$(guest_sets --no-new-privs | awk '{ print $6 }')" 1
is "no SYS_BOOT in the host's pid namespace" \
	"$(guest_sets --userns no --share pid | awk '{ print $4 }')" "$(hex $((0x$in_host & ~(1 << 22))))"

# In the host's pid namespace /proc/PID/root of a process without privilege is there for its user.
"$helpers/rights" as 4242 "$(command -v sleep)" 1000 &
stranger=$!
at_exit "kill $stranger"
wait_for 5 grep -q '^Uid:.4242' /proc/$stranger/status
ok "control: its user gets through it to the host's root" \
	"$helpers/rights" as 4242 "$(command -v ls)" -d "/proc/$stranger/root/etc"
for u in yes no; do
	not_ok "userns $u: not with --share pid" \
		"$VRUN" -q --root "$R" --userns $u --share pid -u 4242 -- ls -d "/proc/$stranger/root/etc"
done
like "(it sees the process)" "$("$VRUN" -q --root "$R" --userns no --share pid -u 4242 -- cat "/proc/$stranger/comm")" sleep
"$VRUN" -q --root "$R" --userns no --share pid --name "sharer$$" -- sleep 1000 &
wait_for 5 "$VRUN" --status "sharer$$"
not_ok "nor with --join of such a guest's" \
	"$VRUN" -q --root "$R" --userns no --join "pid=sharer$$" -u 4242 -- ls -d "/proc/$stranger/root/etc"
not_ok "nor with --enter" "$VRUN" --enter "sharer$$" --tty no -u 4242 -- ls -d "/proc/$stranger/root/etc"
ok "files are renamed and linked there as ever" "$VRUN" -q --root "$R" --userns no --share pid -- sh -c \
	'cd /root && mkdir a b && : >a/f && ln a/f b/g && mv a/f b/ && rm -r a b'
"$VRUN" --kill "sharer$$"

# What the caller has does not come along (CVE-2022-27650, CVE-2022-29162).
if command -v setpriv >/dev/null; then
	run setpriv --inh-caps=+chown,+net_raw --ambient-caps=+chown "$VRUN" -q --userns no --root "$R" -- cat /proc/self/status
	is "the caller's inheritable and ambient capabilities stay outside" \
		"$(printf '%s\n' "$out" | sets)" "$zero $in_host $in_host $in_host $zero 0"
	run setpriv --securebits=+no_setuid_fixup "$VRUN" -q --userns no --root "$R" -- /bin/rights securebits
	is "nor do its securebits" "$out" 0
	for u in yes no; do
		run setpriv --securebits=+no_setuid_fixup,+no_setuid_fixup_locked \
			"$VRUN" -q --userns $u --root "$R" -- /bin/rights securebits
		case $status in
		0) is "userns $u: locked securebits stay outside" "$out" 0 ;;
		*) like "userns $u: or stop the start with a reason" "$err" '^vrun: .*securebits' ;;
		esac
	done
fi

# There is no way up.
for u in yes no; do
	is "userns $u: a user finds no way back" "$("$VRUN" -q --userns $u --root "$R" -u user -- /bin/rights regain)" tried
	run "$VRUN" -q --userns $u --root "$R" -- /bin/rights regain
	unlike "userns $u: guest root finds no capability that it hasn't" "$out" 'capset|ambient'
	is "userns $u: a setuid-root file gives the bound and no more" \
		"$("$VRUN" -q --userns $u --root "$R" -u user -- suid status | sets)" \
		"$("$VRUN" -q --userns $u --root "$R" -- cat /proc/self/status | sets)"
	is "userns $u: with an empty bound nothing" \
		"$("$VRUN" -q --userns $u --cap-drop all --root "$R" -u user -- suid status | sets)" \
		"$zero $zero $zero $zero $zero 0"
	like "userns $u: it is setuid: (the user id changes)" \
		"$("$VRUN" -q --userns $u --root "$R" -u user -- suid status)" '^Uid:	1000	0	0	0$'
	like "userns $u: with --no-new-privs not even that" \
		"$("$VRUN" -q --userns $u --no-new-privs --root "$R" -u user -- suid status)" '^Uid:	1000	1000	1000	1000$'
done
mount -t proc proc "$R/proc"
is "(in a plain chroot it gives all that the host's root has)" \
	"$(chroot "$R" /bin/rights as 1000 /bin/suid status | awk '/^CapEff/ { print $2 }')" "$(hex "$own")"
umount "$R/proc"

# File capabilities: a bound without NET_RAW makes their exec fail, which is why the bound is wide.
if command -v setcap >/dev/null && cp "$R/bin/rights" "$R/bin/rawping" && setcap cap_net_raw=ep "$R/bin/rawping" 2>/dev/null; then
	ok "a file with ping's capability runs" "$VRUN" -q --root "$R" -u user -- /bin/rawping securebits
	exits "(it doesn't where the bound lacks it)" 126 "$VRUN" -q --root "$R" -u user --cap-drop net_raw -- /bin/rawping securebits
else
	skip "no setcap here"
fi

# --user and --groups
who() { "$VRUN" -q --root "$R" "$@" -- sh -c 'awk "/^(Uid|Gid|Groups)/ { \$1 = \"\"; print }" /proc/self/status' | tr -s ' \n' ' '; }
is "the default is root, in root's group" "$(who)" " 0 0 0 0 0 0 0 0 0 "
is "a name brings its groups" "$(who -u user)" " 1000 1000 1000 1000 1000 1000 1000 1000 50 1000 "
is "a name with a group" "$(who -u user:daemon)" " 1000 1000 1000 1000 1 1 1 1 1 50 "
is "a number that passwd has gets that line's group" "$(who -u 1)" " 1 1 1 1 1 1 1 1 1 "
is "a number that it has not gets its own" "$(who -u 4711)" " 4711 4711 4711 4711 4711 4711 4711 4711 4711 "
is "a number with a group" "$(who -u 4711:0)" " 4711 4711 4711 4711 0 0 0 0 0 "
is "--groups is the whole list" "$(who -u user --groups tty,7,tty)" " 1000 1000 1000 1000 1000 1000 1000 1000 5 7 "
is "65535 is the last id" "$(who -u 65535:65535)" " 65535 65535 65535 65535 65535 65535 65535 65535 65535 "
for bad in 0x1 '1000 ' ' 1000' -1 +1 4294967295 4294967296 18446744073709551616 65536 '' a:b:c : :0 0: 1e3 'a b' ../x; do
	exits "--user '$bad' is refused" 125 "$VRUN" --root "$R" --user="$bad" -- true
	like "with one line that names it" "$err" "^vrun: --user"
	exits "--groups '$bad' is refused" 125 "$VRUN" --root "$R" --groups="${bad:-,}" -- true
done
exits "--user of a name that the guest hasn't is refused" 125 "$VRUN" -q --root "$R" -u nosuch -- true
like "the error names the file" "$err" "^vrun: --user 'nosuch': .*/etc/passwd"
exits "a name of the host is none of the guest" 125 "$VRUN" -q --root "$R" -u bin -- true
is "with --userns no ids go up to 4294967294" \
	"$("$VRUN" -q --userns no --root "$R" -u 4294967294 -- id -u)" 4294967294

# A hostile /etc: nothing hangs, nothing outside is read, numbers always work.
hostile() {
	what=$1
	ok "numbers work with $what as /etc/passwd" timeout 100 "$VRUN" -q --root "$R" -u 1000:1000 -- true
	exits "names don't" 125 timeout 100 "$VRUN" -q --root "$R" -u root2 -- true
	like "and it is said why" "$err" "^vrun: --user 'root2': "
	rm -rf "$R/etc/passwd"
}
cp "$R/etc/passwd" "$tmp/passwd"
echo 'root2:x:0:0::/:/bin/sh' >"$tmp/outside"
rm "$R/etc/passwd"; mkfifo "$R/etc/passwd"; hostile "a FIFO"
mkdir "$R/etc/passwd"; hostile "a directory"
ln -s "$tmp/outside" "$R/etc/passwd"; hostile "a link to a file outside"
ln -s ../../../../../../../..$tmp/outside "$R/etc/passwd"; hostile "a link that climbs"
ln -s /proc/self/fd/3 "$R/etc/passwd"; hostile "a link to a descriptor"
ln -s /proc/1/root/etc/passwd "$R/etc/passwd"; hostile "a link through /proc"
ln -s passwd "$R/etc/passwd"; hostile "a link to itself"
ln -s /dev/zero "$R/etc/passwd"; hostile "a device"
mknod "$R/etc/passwd" c 1 5; hostile "a device node"
awk 'BEGIN { for (i = 0; i < 500000; i++) printf "root2:x:0:" }' >"$R/etc/passwd"; hostile "one line of 5 MB"
echo 'root2:x:-1:0::/:/bin/sh' >"$R/etc/passwd"; hostile "a user id of -1"
echo 'root2:x:70000:0::/:/bin/sh' >"$R/etc/passwd"; hostile "a user id beyond the guest's"
rm -f "$R/etc/group"
ok "and with no /etc/passwd and /etc/group at all" "$VRUN" -q --root "$R" -u 7:8 --groups 9 -- true
cp "$tmp/passwd" "$R/etc/passwd"

# The environment
is "PATH TERM HOME USER SHELL and nothing else" "$(LANG=de SECRET=1 LD_PRELOAD=x TERM=vt100 \
	"$VRUN" -q --root "$R" -u user -- env | sort | grep -v '^\(_\|PWD\|SHLVL\)=' | tr '\n' ' ')" \
	"HOME=/home PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SHELL=/bin/sh TERM=vt100 USER=user "
is "--env takes a value, or the caller's" "$(SECRET=1 "$VRUN" -q --root "$R" -e A=b=c -e SECRET -e NONE -- env |
	grep -E '^(A|SECRET|NONE)=' | sort | tr '\n' ' ')" "A=b=c SECRET=1 "
like "--keep-env keeps the caller's" "$(SECRET=1 "$VRUN" -q --root "$R" --keep-env -- env)" '^SECRET=1$'
exits "--env without a name is refused" 125 "$VRUN" --root "$R" --env =x -- true

# Lists that are wrong
for list in NET_ADMIN SYS_ADMIN SYS_MODULE SYS_TIME MKNOD; do
	exits "--cap-add $list in a user namespace is refused" 125 "$VRUN" -q --root "$R" --cap-add $list -- true
	like "and it is said what would help" "$err" "^vrun: --cap-add $list: .*--userns no"
done
for list in nosuch '' chown, ,chown all 21 =ep; do
	exits "--cap-add '$list' is refused" 125 "$VRUN" --root "$R" --cap-add="$list" -- true
done
exits "--cap-add and --cap-drop of the same one is refused" 125 \
	"$VRUN" --root "$R" --userns no --cap-add net_raw --cap-drop net_raw -- true
exits "SYS_BOOT over the host is refused" 125 "$VRUN" -q --root "$R" --userns no --share pid --cap-add SYS_BOOT -- true
for ccap in nosuch '' userns, quota_ctl oom_adjust secure_mount; do
	exits "--ccap '$ccap' is refused" 125 "$VRUN" -q --root "$R" --ccap="$ccap" -- true
	like "with one line that names it" "$err" '^vrun: --ccap'
done

# Guest root that is the host's owns every cgroup's files; where it could mount them it would be at everybody's limits.
v1=/sys/fs/cgroup/pids$(sed -n 's/^[0-9]*:pids://p' /proc/self/cgroup)
if grep -qv '^0:' /proc/self/cgroup; then
	exits "--ccap userns with --userns no is refused beside v1 hierarchies" 125 \
		"$VRUN" -q --root "$R" --userns no --ccap userns -- true
	like "with one line that says why" "$err" '^vrun: --ccap userns: .*v1.*--userns yes'
	ok "(with SYS_ADMIN, which is as much, it isn't)" \
		"$VRUN" -q --root "$R" --userns no --ccap userns --cap-add SYS_ADMIN -- true
fi
if [ -e "$v1/tasks" ] && mkdir "$v1/control$$"; then
	at_exit "rmdir $v1/control$$ 2>/dev/null"
	echo 7 >"$v1/control$$/pids.max"
	run unshare -UrmC sh -c "mount -t cgroup -o pids pids '$tmp' && echo max >'$tmp/control$$/pids.max'"
	is "control: root in a user namespace of its own lifts any limit there" "$(cat "$v1/control$$/pids.max")" max
	rmdir "$v1/control$$"
else
	skip "no v1 hierarchy of pids"
fi

# The caller's keys, and the host's System V memory; without the filter, which has no keys at all.
is "control: who has a session keyring passes it on" "$("$helpers/rights" with-key "$helpers/rights" find-key)" secret
"$helpers/rights" shm make $$ >"$tmp/shm"
for u in yes no; do
	is "userns $u: no key of the caller's is in the guest" \
		"$("$helpers/rights" with-key "$VRUN" -q --userns $u --seccomp none --root "$R" -- rights find-key)" none
	is "userns $u: a segment of the host's isn't, either" "$("$VRUN" -q --userns $u --root "$R" -- rights shm find $$)" none
	is "userns $u: (with --share ipc it is)" "$("$VRUN" -q --userns $u --share ipc --root "$R" -- rights shm find $$)" found
done
"$helpers/rights" shm remove $$ >"$tmp/shm"

# What there is a limited number of for each user: in a user namespace it is counted for who made that, too.
cp "$helpers/hog" "$R/bin/hog"
for what in inotify queues; do
	rm -f "$tmp/took"
	"$helpers/hog" as 4242 in-userns $what 100000 100 >"$tmp/took" &
	pid=$!
	wait_for 10 test -s "$tmp/took"
	is "control: $what that are used up in a user namespace are used up for its maker" "$("$helpers/hog" as 4242 $what 1)" 0
	kill "$pid"
	wait "$pid" 2>/dev/null
	rm -f "$tmp/took"
	"$VRUN" -q --root "$R" -u user -- hog $what 100000 100 >"$tmp/took" &
	pid=$!
	wait_for 10 test -s "$tmp/took"
	like "(a user of a guest takes all that he gets: $what)" "$(cat "$tmp/took")" '^[1-9]'
	is "the host's root still gets one" "$("$helpers/hog" $what 1)" 1
	is "and another guest" "$("$VRUN" -q --root "$R" -u user -- hog $what 1)" 1
	kill "$pid"
	wait "$pid" 2>/dev/null
done

# The caller's side: a setuid vrun makes nobody more than he is (CVE-2020-5291, CVE-2026-41163).
mkdir "$tmp/setuid" && chmod 711 "$tmp" "$tmp/setuid" && cp "$VRUN" "$tmp/setuid/vrun" && chmod 4755 "$tmp/setuid/vrun"
cp "$helpers/rights" "$tmp/setuid/rights" && chmod 755 "$tmp/setuid/rights"
as_user() { "$tmp/setuid/rights" as 65534 "$@"; }
exits "an ordinary user may not start a guest" 125 as_user "$VRUN" --root "$R" -- true
exits "nor through a setuid vrun" 125 as_user "$tmp/setuid/vrun" --root "$R" -- true
like "with one line that says so" "$err" '^vrun: .*root'
exits "nor end or change one" 125 as_user "$VRUN" --kill nosuch
like "which that says, too" "$err" '^vrun: only root may .*change'
unlike "of which none is from root's files" "$err" 'shadow|root:'
chmod 700 "$R"
exits "a path that he may not see and one that isn't there" 125 as_user "$tmp/setuid/vrun" --root "$R/etc/passwd" -- true
there=$err
run as_user "$tmp/setuid/vrun" --root "$R/etc/nosuch" -- true
is "give the same error" "$(printf '%s' "$err" | sed 's/nosuch/passwd/')" "$there"
chmod 755 "$R"
exits "closed descriptors 0-2 are no way in" 125 as_user "$tmp/setuid/rights" nofds "$tmp/setuid/vrun" --help-no
is "nothing was written where it shouldn't be" "$(ls "$tmp/setuid")" "$(printf 'rights\nvrun')"
ok "--help works for him, as himself" env LD_PRELOAD=/x TZ=/etc/shadow "$tmp/setuid/rights" as 65534 "$tmp/setuid/vrun" --help
mkfifo "$tmp/setuid/fifo" && chmod 666 "$tmp/setuid/fifo"
"$tmp/setuid/rights" as 65534 "$tmp/setuid/vrun" --args-file "$tmp/setuid/fifo" -- true 2>"$tmp/blocked" &
pid=$!
# Not before it has come so far.
wait_for 5 grep -q '^CapEff:.*0000000000000000$' "/proc/$pid/status"
is "while it reads what he wrote it is he, wholly and for good" \
	"$(awk '/^(Uid|CapPrm|CapEff)/ { $1 = ""; printf "%s", $0 }' "/proc/$pid/status")" " 65534 65534 65534 65534 $zero $zero"
ok "(what is his he may look into)" as_user "$R/bin/busybox" head -c 1 /proc/self/environ
not_ok "and not his to look into" as_user "$R/bin/busybox" head -c 1 "/proc/$pid/environ"
: >"$tmp/setuid/fifo"
wait "$pid"
is "then it refuses" $? 125
chmod 2755 "$tmp/setuid/vrun"
exits "a setgid vrun gives him nothing either" 125 as_user "$tmp/setuid/vrun" --root "$R" -- true

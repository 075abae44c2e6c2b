#!/bin/sh
# A debootstrapped Debian as a guest: what its own tools do to it, they do in it.
. "$(dirname "$0")/lib.sh"
need root userns cgroup2
mktmp
# (tests/90-second-kernel.t makes the same root)
if ! debian_root debian python3-minimal procps passwd systemd-sysv; then
	if [ -n "$slow" ]; then skip "no Debian root on the second kernel's disk"; else
		fail "a Debian root can be made"; fi
	exit 0
fi
D=$debian
mkdir "$tmp/cow"
guest() { "$VRUN" -q --root "$D" --cow "$tmp/cow" -- "$@"; }

mkdir -p "$tmp/deb/DEBIAN" "$tmp/deb/opt"
echo "hello from a package" >"$tmp/deb/opt/hello"
printf 'Package: vrun-hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: test\n' \
	>"$tmp/deb/DEBIAN/control"
printf '#!/bin/sh\nset -e\nid -u >/opt/configured-as\n' >"$tmp/deb/DEBIAN/postinst"
chmod 755 "$tmp/deb/DEBIAN/postinst"
"$VRUN" -q --userns no --root "$D" --bind "$tmp:/mnt" -- dpkg-deb -b /mnt/deb /mnt/vrun-hello.deb >/dev/null

ok "apt-get installs a local package" "$VRUN" -q --root "$D" --cow "$tmp/cow" --bind "$tmp/vrun-hello.deb:/mnt/p.deb:ro" -- \
	sh -c ': >/dev/null; apt-get -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/dev/null install -y /mnt/p.deb'
is "its files are there in the next guest on the same layer" "$(guest cat /opt/hello)" "hello from a package"
is "its postinst ran as root" "$(guest cat /opt/configured-as)" 0
is "the root itself was not written" "$(ls "$D/opt")" ""
is "on disk the layer's files belong to root" "$(stat -c %u:%g "$tmp/cow/upper/opt/configured-as")" 0:0
is "su - nobody -c id" "$(guest su - nobody -s /bin/sh -c 'id -u' 2>/dev/null)" 65534
ok "useradd makes a user with a home" guest useradd -m joe
is "who owns what he writes" "$(guest su - joe -c 'echo x >f; stat -c %U f')" joe
if command -v script >/dev/null; then
	screen=$(script -qec "'$VRUN' -q --root '$D' --cow '$tmp/cow' -- su - joe --session-command 'tty; id -un; echo to >/dev/tty; stty size >/dev/null && echo modes'" \
		/dev/null </dev/null | tr -d '\r\004\000' | sed 's/\^[@D]//g; s/\x08//g')
	is "su on the guest's pty: the user's session has it" "$(echo $screen)" "/dev/pts/0 joe to modes"
fi
ok "chpasswd sets his password" guest sh -c 'echo joe:secret | chpasswd && passwd -S joe | grep -q "joe P"'
is "python3 runs, and is root" "$(guest python3 -c 'import os; print(os.getuid())')" 0
ok "dpkg --configure -a" guest dpkg --configure -a
ok "dpkg removes the package again" guest dpkg --purge vrun-hello
ok "tar keeps owners, setuid bits and links" guest sh -c 'cd /tmp && tar -C / -cf u.tar usr/bin/passwd usr/bin/su &&
	mkdir x && tar -C x -xf u.tar && test -u x/usr/bin/passwd'
is "ps shows the guest's processes alone" "$(guest ps -e -o comm= | tr '\n' ' ')" "init ps "
ok "mknod of a device is refused" guest sh -c '! mknod /tmp/sda b 8 0'
ok "mount is refused" guest sh -c '! mount -t tmpfs none /mnt'

# --- inits: boot, restart on reboot, end on poweroff, shut down when asked ---

# shellcheck disable=SC2016 # expanded by other shells
printf '#!/bin/sh\necho "$1" >>%s\n' "$tmp/heard" >"$tmp/helper"
chmod 755 "$tmp/helper"
# A service of each, in the layer alone, writes what it is told: up, down.
# shellcheck disable=SC2016
service='printf "%s\n" "#!/bin/sh" "### BEGIN INIT INFO" "# Provides: mark" "# Required-Start: \$remote_fs" \
		"# Required-Stop: \$remote_fs" "# Default-Start: 2 3 4 5" "# Default-Stop: 0 1 6" "### END INIT INFO" \
		"case \$1 in stop) echo down ;; *) echo up ;; esac >>/var/log/mark" >/etc/init.d/mark
	chmod 755 /etc/init.d/mark
	if [ ! -x /lib/systemd/systemd ]; then update-rc.d mark defaults; exit; fi
	printf "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/etc/init.d/mark start\nExecStop=/etc/init.d/mark stop\n" \
		>/etc/systemd/system/mark.service
	mkdir -p /etc/systemd/system/multi-user.target.wants
	ln -s ../mark.service /etc/systemd/system/multi-user.target.wants/'
marks() { [ ! -e "$tmp/cow-$name/upper/var/log/mark" ] || tr '\n' ' ' <"$tmp/cow-$name/upper/var/log/mark"; }
has_marks() { [ "$(marks)" = "$1" ]; }
running() { "$VRUN" -q --status "$name"; }
xid() { "$VRUN" --status "$name" | awk '$1 == "xid" { print $2 }'; }
start() {
	: >"$tmp/heard"
	"$VRUN" --name "$name" --init --root "$root" --cow "$tmp/cow-$name" --memory 400M --pids 500 --pid-file "$tmp/pid" \
		--helper "$tmp/helper" -- /sbin/init >"$tmp/$name.log" 2>&1 </dev/null &
	pid=$!
}
boots() { # SENTENCE MARKS
	if wait_for 60 has_marks "$2"; then pass "$1"; return 0; fi
	fail "$1"
	marks | _diag
	tail -n 30 "$tmp/$name.log" | _diag
}
boot() {
	name=$1 root=$2
	mkdir "$tmp/cow-$name"
	"$VRUN" -q --root "$root" --cow "$tmp/cow-$name" -- sh -c "$service" || fail "$3: a service of its own is set up"
	start
	boots "$3 boots to its default target" "up "
	wait_for 20 running
	xid=$(xid)
	is "--enter: a process of its own beside it" "$("$VRUN" -q --enter "$name" -- sh -c 'id -u; cat /proc/1/comm' | tr '\n' ' ')" \
		"0 $(cat "/proc/$("$VRUN" --status "$name" | awk '$1 == "init" { print $2 }')/comm") "
	is "in the cgroup in which pid 1 is, which gives no controllers to others" "$("$VRUN" -q --enter "$name" -- sh -c '
		a=$(sed -n "s/^0:://p" /proc/1/cgroup) b=$(sed -n "s/^0:://p" /proc/self/cgroup)
		[ "$a" = "$b" ] || echo "$a $b"
		[ ! -e "/sys/fs/cgroup$b/cgroup.procs" ] || cat "/sys/fs/cgroup$b/cgroup.subtree_control"')" ""
	"$VRUN" -q --enter "$name" -- reboot >/dev/null 2>&1
	boots "$3: reboot in it shuts it down and starts it again" "up down up "
	wait_for 20 running
	is "as the same context, with the same supervisor" "$(xid) $(cat "$tmp/pid")" "$xid $pid"
	stopped="up down up down "
	if [ -z "$slow" ]; then
		"$VRUN" -q --enter "$name" -- poweroff >/dev/null 2>&1
		wait "$pid"
		is "$3: poweroff in it ends it, status 0" $? 0
		is "in order" "$(marks)" "$stopped"
		is "the helper heard of both" "$(tr '\n' ' ' <"$tmp/heard")" "startup restart startup poweroff shutdown "
		[ "$3" != OpenRC ] || return 0  # its init is sysvinit's
		start
		boots "$3 boots" "up down up down up "
		wait_for 20 running
		stopped="up down up down up down "
	fi
	ok "$3: --stop" "$VRUN" --stop "$name"
	wait "$pid"
	is "ends it, status 0" $? 0
	is "in order, too" "$(marks)" "$stopped"
}
# shellcheck disable=SC2086 # INIT is words
# An init that is only to boot and to shut down.
boot_once() {
	name=$1 root=$2 init=$3 sign=$4
	rm -rf "$tmp/cow-$name"
	mkdir "$tmp/cow-$name"
	"$VRUN" --name "$name" --init --root "$root" --cow "$tmp/cow-$name" -- $init >"$tmp/$name.log" 2>&1 </dev/null &
	pid=$!
	if wait_for 90 eval "$sign"; then pass "$name boots to its default target"; else
		fail "$name boots to its default target"; sed 's/^/# /' "$tmp/$name.log" | tail -n 30; fi
	kill -TERM "$pid"
	wait "$pid"
	is "$name shuts down on TERM, status 0" $? 0
}
boot "systemd-$$" "$D" systemd
like "and said so" "$(cat "$tmp/systemd-$$.log")" 'Reached target.*(shutdown|final).target|halt|Power'
[ -z "$slow" ] || exit 0         # no such roots on the second kernel's disk
S=$("$top/tests/mkroot-debian" sysvinit sysvinit-core sysv-rc initscripts procps) || fail "a sysvinit root can be made"
sed -i 's/^\([1-6]:.*getty\)/#\1/' "$S/etc/inittab"
boot "sysvinit-$$" "$S" sysvinit
# openrc takes sysv-rc's place, which debootstrap can't resolve: apt does, in a guest with the host's network.
O=$top/build/roots/openrc
if [ ! -e "$O/.openrc" ]; then
	rm -rf "$O"
	cp -a "$S" "$O"
	ok "apt-get update and install over the network, in a guest" "$VRUN" -q --ip host --share abstract --root "$O" -- \
		sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends openrc' &&
		touch "$O/.openrc"
fi
boot "openrc-$$" "$O" OpenRC
U=$top/build/roots/runit
if [ ! -e "$U/.runit" ]; then
	rm -rf "$U"
	cp -a "$S" "$U"
	cp -a "$O/var/lib/apt/lists" "$U/var/lib/apt/"
	ok "runit and s6 are installed" "$VRUN" -q --ip host --share abstract --root "$U" -- \
		sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends runit-init s6' &&
		touch "$U/.runit"
fi
boot_once runit-$$ "$U" /sbin/init 'grep -q "enter stage: /etc/runit/2" "$tmp/runit-$$.log"'
like "and did so in order" "$(cat "$tmp/runit-$$.log")" 'leave stage: /etc/runit/3'
mkdir "$U/srv/s6" "$U/srv/s6/up" 2>/dev/null
printf '#!/bin/sh\n>/srv/is-up\nexec sleep 1000\n' >"$U/srv/s6/up/run"
chmod 755 "$U/srv/s6/up/run"
boot_once s6-$$ "$U" "/bin/s6-svscan /srv/s6" '[ -e "$tmp/cow-s6-$$/upper/srv/is-up" ]'

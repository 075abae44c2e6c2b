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
ok "chpasswd sets his password" guest sh -c 'echo joe:secret | chpasswd && passwd -S joe | grep -q "joe P"'
is "python3 runs, and is root" "$(guest python3 -c 'import os; print(os.getuid())')" 0
ok "dpkg --configure -a" guest dpkg --configure -a
ok "dpkg removes the package again" guest dpkg --purge vrun-hello
ok "tar keeps owners, setuid bits and links" guest sh -c 'cd /tmp && tar -C / -cf u.tar usr/bin/passwd usr/bin/su &&
	mkdir x && tar -C x -xf u.tar && test -u x/usr/bin/passwd'
is "ps shows the guest's processes alone" "$(guest ps -e -o comm= | tr '\n' ' ')" "init ps "
ok "mknod of a device is refused" guest sh -c '! mknod /tmp/sda b 8 0'
ok "mount is refused" guest sh -c '! mount -t tmpfs none /mnt'

# shellcheck disable=SC2086 # INIT is words
# inits: boot to their default target, shut down when asked
boot() {
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
boot systemd-$$ "$D" /sbin/init 'grep -q "multi-user.target" "$tmp/systemd-$$.log"'
like "and did so in order" "$(cat "$tmp/systemd-$$.log")" 'Reached target.*(shutdown|final).target|halt|Power'
[ -z "$slow" ] || exit 0         # no such roots on the second kernel's disk
S=$("$top/tests/mkroot-debian" sysvinit sysvinit-core sysv-rc initscripts procps) || fail "a sysvinit root can be made"
sed -i 's/^\([1-6]:.*getty\)/#\1/' "$S/etc/inittab"
boot sysvinit-$$ "$S" /sbin/init '[ "$(cut -c1 "$tmp/cow-sysvinit-$$/upper/var/log/wtmp" 2>/dev/null | wc -c)" -gt 0 ] && grep -aq runlevel "$tmp/cow-sysvinit-$$/upper/var/log/wtmp"'
# openrc takes sysv-rc's place, which debootstrap can't resolve: apt does, in a guest with the host's network.
O=$top/build/roots/openrc
if [ ! -e "$O/.openrc" ]; then
	rm -rf "$O"
	cp -a "$S" "$O"
	ok "apt-get update and install over the network, in a guest" "$VRUN" -q --ip host --share abstract --root "$O" -- \
		sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends openrc' &&
		touch "$O/.openrc"
fi
softlevel() { cat "/proc/$("$VRUN" --status "openrc-$$" | awk '$1 == "init" { print $2 }')/root/run/openrc/softlevel"; }
boot openrc-$$ "$O" /sbin/init '[ "$(softlevel)" = default ]'
U=$top/build/roots/runit
if [ ! -e "$U/.runit" ]; then
	rm -rf "$U"
	cp -a "$S" "$U"
	cp -a "$O/var/lib/apt/lists" "$U/var/lib/apt/"
	ok "runit and s6 are installed" "$VRUN" -q --ip host --share abstract --root "$U" -- \
		sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends runit-init s6' &&
		touch "$U/.runit"
fi
boot runit-$$ "$U" /sbin/init 'grep -q "enter stage: /etc/runit/2" "$tmp/runit-$$.log"'
like "and did so in order" "$(cat "$tmp/runit-$$.log")" 'leave stage: /etc/runit/3'
mkdir "$U/srv/s6" "$U/srv/s6/up" 2>/dev/null
printf '#!/bin/sh\n>/srv/is-up\nexec sleep 1000\n' >"$U/srv/s6/up/run"
chmod 755 "$U/srv/s6/up/run"
boot s6-$$ "$U" "/bin/s6-svscan /srv/s6" '[ -e "$tmp/cow-s6-$$/upper/srv/is-up" ]'

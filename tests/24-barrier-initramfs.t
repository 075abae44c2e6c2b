# The barrier where "/" is an initramfs, which pivot_root can't leave: the same
# ways out as in 23-barrier.t, and what is left of the host's mounts.
# second-kernel: initramfs
if ! awk '$5 == "/" { f = $0 } END { exit f !~ / - (rootfs|ramfs|tmpfs) / }' /proc/self/mountinfo; then
	. "$(dirname "$0")/lib.sh"
	skip "/ is no initramfs here"
	exit 0
fi
# tmpfs can't be idmapped before Linux 6.3: guests with their root in it are without a user namespace.
barrier_users=no barrier_cow=no barrier_form_only=yes
. "$(dirname "$0")/23-barrier.t"

# --- a root on a disk, and a host's disk that a guest must not keep busy -----

if ! mkdir "$tmp/disk" || ! mount /dev/vda "$tmp/disk" 2>"$tmp/why"; then
	skip "no disk: $(cat "$tmp/why")"
	exit 0
fi
at_exit "umount '$tmp/disk' 2>/dev/null; rm -rf '$tmp/disk'"
cp -a "$tmp/r" "$tmp/disk/vrun-r"
for way in chroot fchdir "proc-root 1" umount; do
	# shellcheck disable=SC2086
	exits "${way% *} fails in a guest on a disk" 1 "$VRUN" -q --root "$tmp/disk/vrun-r" --seccomp none -- \
		/escape ${way% *} "$marker" "$secret" ${way#* }
done
rm -rf "$tmp/disk/vrun-r"

# busy CMD...: can the disk be mounted otherwise while CMD runs, once the host has unmounted it? CMD makes r/up.
busy() {
	rm -f "$tmp/r/up"
	"$@" >/dev/null 2>&1 &
	_pid=$!
	wait_for 30 test -e "$tmp/r/up"
	umount "$tmp/disk"
	mount -o ro /dev/vda "$tmp/disk" 2>/dev/null
	_mounted=$?
	[ $_mounted -ne 0 ] || umount "$tmp/disk"
	kill $_pid
	wait $_pid
	mount /dev/vda "$tmp/disk"
	[ $_mounted -ne 0 ]
}
ok "control: a copied mount namespace keeps a disk busy" busy unshare -m sh -c 'touch "$0/up"; exec sleep 100' "$tmp/r"
not_ok "a guest doesn't" busy "$VRUN" -q --root "$tmp/r" --userns no -- sh -c 'touch /up; exec sleep 100'

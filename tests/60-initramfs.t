# A guest whose root is in the initramfs, where the rootfs can't be pivoted and
# (tmpfs, before Linux 6.3) not be idmapped: the same barrier holds.
# second-kernel: initramfs
. "$(dirname "$0")/lib.sh"
need root cgroup2
[ "$(awk '$5 == "/" { print $(NF-2) }' /proc/self/mountinfo | head -n 1)" = rootfs ] || {
	skip "the root is no initramfs"
	exit 0
}
mktmp
make_root "$tmp/r"
echo "the host's" >/outside
at_exit rm -f /outside
leftovers_before

exits "a guest runs, and its status is vrun's" 7 "$VRUN" --userns no --root "$tmp/r" -- sh -c 'exit 7'
run "$VRUN" --userns no --root "$tmp/r" -- ls -a /
unlike "its root is its own" "$out" outside
run "$VRUN" --userns no --root "$tmp/r" -- sh -c 'cd / && cat ../../../../../outside /proc/1/root/outside /proc/1/cwd/outside'
unlike "no .. leads above it" "$out" "the host's"
isnt "and cat says so" "$status" 0

cp "$helpers/climb" "$tmp/r/bin/climb"
run chroot "$tmp/r" climb outside
is "control: a second chroot leads out of chroot(8)" "$out" "the host's"
exits "and not out of a guest" 1 "$VRUN" --userns no --root "$tmp/r" -- climb outside

run "$VRUN" --userns no --root "$tmp/r" -- sh -c 'awk "{ print \$5 }" /proc/self/mountinfo'
unlike "no mount of the host's is in its mountinfo" "$out" "^$tmp|^/sys/kernel/security|^/sys/fs/bpf"
exits "asked for a user namespace, it starts or says what waives it" 0 sh -c "
	'$VRUN' --root '$tmp/r' -- true 2>'$tmp/err' || grep -q -e '--userns no' '$tmp/err'"
leftovers_none "nothing is left"

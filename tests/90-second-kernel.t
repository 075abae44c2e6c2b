# The same test files under Debian's 6.1 with cgroup v2 alone, see tests/qemu.
# limit: 960
# second-kernel: no
. "$(dirname "$0")/lib.sh"
need tool:qemu-system-x86_64 tool:mkfs.ext4 tool:cpio tool:depmod tool:busybox

# This file's own counting is tests/qemu's.
trap - EXIT
_remove_tree "$_scratch"
cd "$top" || exit 1

# Two machines, a core each: emulated, most of a test is one process at a time.
# The second has the Debian root, for 85-debian.t and 57-systemd.t.
mkdir -p build/qemu2
rm -f build/qemu/ready
tests/qemu run tests/[26]*.t tests/7[0-4]*.t >build/qemu2/first.tap 2>&1 &
first=$!
trap 'kill "$first" 2>/dev/null' EXIT
debian_root debian python3-minimal procps passwd systemd-sysv || exit 1
while kill -0 "$first" 2>/dev/null && [ ! -e build/qemu/ready ]; do sleep 1; done
QEMU_DIR=$top/build/qemu2 tests/qemu run tests/[013458]*.t tests/75*.t
status=$?
wait "$first" || status=1
trap - EXIT
cat build/qemu2/first.tap
exit "$status"

# The same test files under Debian's 6.1 with cgroup v2 alone, see tests/qemu.
# limit: 960
# second-kernel: no
. "$(dirname "$0")/lib.sh"
need tool:qemu-system-x86_64 tool:mkfs.ext4 tool:cpio tool:depmod tool:busybox

# For 85-debian.t there.
debian_root debian python3-minimal procps passwd systemd-sysv || exit 1

# This file's own counting is tests/qemu's.
trap - EXIT
_remove_tree "$_scratch"
cd "$top" || exit 1
exec tests/qemu run tests/[0-8]*.t

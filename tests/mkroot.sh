# shellcheck shell=sh
# make_root DIR: a small root directory of busybox and its links.  Read by
# tests/lib.sh, tests/demo and tests/qemu; a copy is kept in $VRUN_CACHE.

_mkroot=${top:-.}/tests/mkroot.sh

_busybox() {
	for _b in /bin/busybox /usr/bin/busybox; do
		[ ! -x "$_b" ] || { echo "$_b"; return; }
	done
	echo "Bail out! no busybox (busybox-static)" >&2
	return 1
}

_fill_root() {
	mkdir -p "$1" && chmod 755 "$1" || return 1
	(
		umask 022
		cd "$1" || exit 1
		mkdir bin sbin usr usr/bin usr/sbin etc proc sys dev dev/pts dev/shm \
			run var mnt root home lib tmp || exit 1
		chmod 1777 tmp
		chmod 700 root
		cp "$(_busybox)" bin/busybox || exit 1
		bin/busybox --list | grep -vx busybox | (cd bin && xargs -n 1 ln -s busybox)
		printf '%s\n' root:x:0:0:root:/root:/bin/sh daemon:x:1:1:daemon:/:/bin/false \
			'user:x:1000:1000:a user:/home:/bin/sh' \
			nobody:x:65534:65534:nobody:/:/bin/sh >etc/passwd
		printf '%s\n' root:x:0: daemon:x:1: tty:x:5: staff:x:50:user user:x:1000: \
			nogroup:x:65534: >etc/group
		echo "127.0.0.1 localhost" >etc/hosts
		: >etc/resolv.conf
	)
}

# Linking 250 applets takes a second, so the first root is kept and copied.
make_root() {
	# In an initramfs all files are as old as its unpacking: there the copy made outside is taken as it is.
	if [ -n "${VRUN_KERNEL-}" ] && [ -e "$VRUN_CACHE/busybox-root/etc/resolv.conf" ]; then
		:
	elif [ -z "$(find "$VRUN_CACHE/busybox-root/etc/resolv.conf" -newer "$_mkroot" 2>/dev/null)" ]; then
		rm -rf "$VRUN_CACHE/busybox-root"
		_fresh=$VRUN_CACHE/busybox-root.$$
		if ! mkdir -p "$_fresh" 2>/dev/null; then
			_fill_root "$1"
			return
		fi
		_fill_root "$_fresh" || return 1
		mv -T "$_fresh" "$VRUN_CACHE/busybox-root" 2>/dev/null || rm -rf "$_fresh"
	fi
	mkdir -p "${1%/*}" && cp -a "$VRUN_CACHE/busybox-root" "$1"
}

# Roots made by an enemy: links where vrun mounts, nodes and names that lead to
# the host, exchanged while guests start.  Nothing is mounted, made, covered or
# written outside; the guest starts as it should or not at all, with a line
# that names the place.
. "$(dirname "$0")/lib.sh"
need root userns
mktmp
make_root "$tmp/clean" || exit 1
mkdir "$tmp/out" "$tmp/out/pts" "$tmp/out/sub"
echo untouched >"$tmp/out/file"
rounds=300 users='yes no'
[ -z "${VRUN_KERNEL:-}" ] || rounds=20 users=yes	# emulated: ten times slower
deep=../../../../../../../../../../../..

# What a start could do to the host: files made or changed, mounts.
watch() {
	(
		cd "$tmp/out" || exit 1
		find . -exec stat -c '%n %s %a %u %Y' {} + | sort
		cat file
		grep -c " $tmp/" /proc/self/mountinfo
	) >"$tmp/$1"
}
watch before
sysrq=$(cat /proc/sys/kernel/core_pattern)

fresh() {
	rm -rf "$tmp/r"
	cp -a "$tmp/clean" "$tmp/r"
}

# hostile SENTENCE ERE WORD...: the guest doesn't start, stderr matches ERE.
hostile() {
	_says=$1 _ere=$2
	shift 2
	for u in $users; do
		run "$VRUN" -q --root "$tmp/r" --userns "$u" "$@"
		like "$_says (--userns $u)" "$status $err" "^125 vrun: $_ere"
	done
	watch after
	ok "... nothing happened outside" cmp "$tmp/before" "$tmp/after"
}

# harmless SENTENCE OUTPUT WORD...: the guest starts and prints OUTPUT.
harmless() {
	_says=$1 _want=$2
	shift 2
	for u in $users; do
		run "$VRUN" -q --root "$tmp/r" --userns "$u" "$@"
		is "$_says (--userns $u)" "$status $(echo $out)" "0 $_want"
	done
	watch after
	ok "... nothing happened outside" cmp "$tmp/before" "$tmp/after"
}

# --- links for directories ---------------------------------------------------

for place in dev proc sys tmp run; do
	set -- "$deep$tmp/out" /
	[ "$users" = yes ] || set -- "$@" "$tmp/out" /etc . ../proc/self/root
	for to; do
		fresh
		rm -rf "${tmp:?}/r/$place"
		ln -s "$to" "$tmp/r/$place"
		run "$VRUN" -q --root "$tmp/r" -- /bin/true
		like "/$place is a link to ${to#"$deep"}" "$status $err" "^125 vrun: .*'/$place'.*symbolic link"
	done
	watch after
	ok "... nothing happened outside" cmp "$tmp/before" "$tmp/after"
done
# The mistake, as a naive launcher makes it.
rm -rf "$tmp/r/dev" "$tmp/n"
mkdir "$tmp/n"
ln -s "$deep$tmp/n" "$tmp/r/dev"
ok "control: mount(8) on such a link mounts outside" unshare -m --propagation private sh -c \
	'mount -t tmpfs t "$1/r/dev" && grep -q " $1/n " /proc/self/mountinfo' sh "$tmp"

fresh
rm -rf "$tmp/r/tmp"
echo >"$tmp/r/tmp"
hostile "/tmp is a file" ".*'/tmp'.*Not a directory" -- /bin/true

# --- names in /dev (CVE-2025-31133, CVE-2025-52565) --------------------------

fresh
rm -rf "$tmp/r/dev"
mkdir -p "$tmp/r/dev/pts"
for name in null zero full random urandom tty console ptmx fd stdin stdout stderr shm pts/0 pts/ptmx; do
	ln -s /proc/sys/kernel/core_pattern "$tmp/r/dev/$name"
done
harmless "the root's /dev/null is a link to core_pattern: the guest's is a node" "character special file 1:3" \
	--tty no -- sh -c 'echo boom >/dev/null; stat -c "%F %t:%T" /dev/null'
run "$VRUN" -q --root "$tmp/r" --tty yes -- sh -c 'tty; [ ! -L /dev/pts/0 ]'
is "... and so is its terminal" "$(printf '%s' "$out" | tr -d '\r')" /dev/pts/0
is "core_pattern is what it was" "$(cat /proc/sys/kernel/core_pattern)" "$sysrq"

# --- names in /proc and /sys (CVE-2019-19921, CVE-2025-52881) -----------------

fresh
mkdir -p "$tmp/r/proc/self/attr" "$tmp/r/proc/sys/kernel" "$tmp/r/sys/fs"
ln -s "$deep$tmp/out/file" "$tmp/r/proc/kcore"
ln -s "$deep$tmp/out/file" "$tmp/r/proc/self/attr/exec"
ln -s "$deep$tmp/out" "$tmp/r/sys/fs/cgroup"
ln -s "$deep$tmp/out/file" "$tmp/r/sys/firmware"
harmless "a /proc and a /sys that someone has filled are covered" "proc sysfs" -- \
	awk '$2 == "/proc" || $2 == "/sys" { print $3 }' /proc/mounts
fresh
rm -rf "$tmp/r/etc"
ln -s "$deep$tmp/out" "$tmp/r/etc"
harmless "/etc is a link out: names of users aren't looked up there" 0 -- sh -c 'id -u'
run "$VRUN" -q --root "$tmp/r" --user user -- id -u
like "... so there are none" "$status $err" '^125 vrun: '
fresh
mkfifo "$tmp/r/etc/fifo"
mv "$tmp/r/etc/fifo" "$tmp/r/etc/passwd"
ok "/etc/passwd is a FIFO: nothing waits for it" timeout 100 "$VRUN" -q --root "$tmp/r" --user 1000 -- true

# --- mount points of options -------------------------------------------------

fresh
ln -s "$deep$tmp/out" "$tmp/r/mnt/a"
ln -s "$tmp/out" "$tmp/r/mnt/b"
ln -s / "$tmp/r/mnt/c"
ln -s ../proc "$tmp/r/mnt/d"
ln -s ../dev/pts "$tmp/r/mnt/e"
ln -s loop "$tmp/r/mnt/loop"
ln -s /proc/self/cwd "$tmp/r/mnt/f"
ln -s "$deep$tmp/out/file" "$tmp/r/mnt/g"
for kind in --tmpfs= "--bind=$tmp/out/sub:"; do
	hostile "${kind%%=*}: a relative link out" ".*'/mnt/a'.*no such mount point" "$kind/mnt/a" -- true
	hostile "${kind%%=*}: an absolute link out" ".*'/mnt/b'.*no such mount point" "$kind/mnt/b" -- true
	hostile "${kind%%=*}: a link to /" ".*'/mnt/c'.*leads to /" "$kind/mnt/c" -- true
	hostile "${kind%%=*}: a link to /proc" ".*'/mnt/d'.*leads into" "$kind/mnt/d" -- true
	hostile "${kind%%=*}: a link into /dev" ".*'/mnt/e'.*leads into" "$kind/mnt/e" -- true
	hostile "${kind%%=*}: a link below a link into /dev" ".*'/mnt/e/x'" "$kind/mnt/e/x" -- true
	hostile "${kind%%=*}: a link to itself" ".*'/mnt/loop'" "$kind/mnt/loop" -- true
	hostile "${kind%%=*}: a link of the kernel's" ".*'/mnt/f'" "$kind/mnt/f" -- true
	run "$VRUN" -q --root "$tmp/r" --cow tmpfs "$kind/mnt/a/new" -- true
	watch after
	ok "${kind%%=*} below a link out, with --cow: nothing happened outside" cmp "$tmp/before" "$tmp/after"
done
hostile "a file's mount point is a link out" ".*'/mnt/g'" "--bind=$tmp/out/file:/mnt/g" -- true
rm -f "$tmp/r/mnt/"*
rmdir "$tmp/r/home"
ln -s mnt "$tmp/r/home"
harmless "a link that stays inside is fine" "file pts sub" "--bind=$tmp/out:/home:ro" -- ls /mnt

# --- exchanged while guests start (CVE-2021-30465) ---------------------------

fresh
mkdir "$tmp/r/mnt/y" "$tmp/r/swap" "$tmp/r/swap/y"
rmdir "$tmp/r/swap/y" "$tmp/r/swap"
ln -s "$deep$tmp/out" "$tmp/r/swap"
"$helpers/exchange" "$tmp/r/mnt" "$tmp/r/swap" &
racer=$!
at_exit "kill $racer 2>/dev/null"
started=0 odd=0 i=0
while [ $i -lt $rounds ]; do
	i=$((i + 1))
	if [ $((i % 2)) = 0 ]; then set -- "--bind=$tmp/out/sub:/mnt/y"; else set -- --tmpfs /mnt/y; fi
	run "$VRUN" -q --root "$tmp/r" --hide none --virt none "$@" -- /bin/true
	case $status in
	0) started=$((started + 1)) ;;
	125) ;;
	*) odd=$((odd + 1)) ;;
	esac
done
kill $racer
wait $racer 2>/dev/null
echo "# with /mnt exchanged for a link all the time $started of $rounds started"
is "$rounds starts end with 0 or 125" $odd 0
watch after
ok "... nothing was made or mounted outside" cmp "$tmp/before" "$tmp/after"
ok "... and the race was one: some started, some didn't" sh -c "[ $started -gt 0 ] && [ $started -lt $rounds ]"

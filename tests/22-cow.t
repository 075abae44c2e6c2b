# --cow: writes go to a layer, the root stays as it is.
. "$(dirname "$0")/lib.sh"
need root userns kernel:overlay
mktmp
umask 022
R=$tmp/r C=$tmp/c
make_root "$R" || exit 1
mkdir "$R/d" "$R/d/sub"
echo one >"$R/d/f"
ln "$R/d/f" "$R/d/link"
chown 1000:50 "$R/d/f"
cp "$R/bin/busybox" "$R/d/su"
chmod 4755 "$R/d/su"
mkdir "$C"
vrun() { "$VRUN" -q --root "$R" "$@"; }
root_state() { (cd "$R" && find . -exec stat -c '%n %F %s %a %u:%g %h %Y %Z' {} + | sort); }
root_state >"$tmp/before"

for u in yes no; do
	for layer in tmpfs "$C"; do
		w="(--cow ${layer#"$tmp"/}, --userns $u)"
		rm -rf "$C"
		mkdir "$C"
		run vrun --userns "$u" --cow "$layer" -- sh -c '
			echo new >/new && chown 7:8 /new && stat -c "%u:%g" /new && echo two >>/d/f && cat /d/f /d/link'
		is "files are made and changed, hard links stay links $w" "$(echo $out)" "7:8 one two one two"
		run vrun --userns "$u" --cow "$layer" -- sh -c '
			stat -c "%u:%g %a" /d/f /d/su / && chmod 600 /d/f && chown 3 /d/su && touch /d/f && stat -c "%u:%g %a" /d/f'
		is "owners and modes are the root's $w" "$(echo $out)" "1000:50 644 0:0 4755 0:0 755 1000:50 600"
		ok "a directory of the root is renamed and removed $w" vrun --userns "$u" --cow "$layer" -- sh -c '
			mv /d /e && cat /e/f && rm -r /e && [ ! -e /d ] && mkdir /d && [ -z "$(ls /d)" ]'
		run vrun --userns "$u" --cow "$layer" -- sh -c 'ls -i /bin/busybox; echo >>/bin/busybox; ls -i /bin/busybox'
		is "a file keeps its inode number when it is copied $w" "$(echo "$out" | sort -u | wc -l)" 1
		not_ok "its devices don't open $w" vrun --userns "$u" --cow "$layer" -- sh -c 'cp -a /dev/null /n && : >/n'
		run vrun --userns "$u" --cow "$layer" -- awk '$5 == "/"' /proc/self/mountinfo
		like "the mount table shows no path of the host $w" "$out" ' - overlay '
		unlike "... not one $w" "$out" "$tmp"
		root_state >"$tmp/after"
		ok "the root is as it was $w" cmp "$tmp/before" "$tmp/after"
	done
done

# --- a directory: kept -------------------------------------------------------

rm -rf "$C"
mkdir "$C"
vrun --cow "$C" -- sh -c 'echo kept >/kept && chown 1000 /kept && rm /d/f'
is "what was written is there the next time" "$(vrun --cow "$C" -- cat /kept)" kept
not_ok "what was removed isn't" vrun --cow "$C" -- test -e /d/f
is "on disk its owners are 0 and up" "$(stat -c %u "$C/upper/kept")" 1000
is "... for --userns no the same" "$(vrun --cow "$C" --userns no -- stat -c %u /kept)" 1000
is "DIR holds upper and work and nothing else" "$(ls "$C" | tr '\n' ' ')" "upper work "
vrun --name "cow$$" --cow "$C" -- sh -c 'echo started >/started; sleep 1000' &
wait_for 10 test -e "$C/upper/started"
run vrun --cow "$C" -- true
like "in use by another guest: an error of its own" "$status $err" '^125 vrun: --cow .*in use'
"$VRUN" -q --kill "cow$$"
wait $!
exits "... and free again afterwards" 0 vrun --cow "$C" -- true
cp -a "$R" "$tmp/r2"
run "$VRUN" -q --root "$tmp/r2" --cow "$C" -- true
like "made for another root: an error of its own" "$status $err" '^125 vrun: --cow .*another root'
mkdir "$R/inside" "$tmp/with"
run vrun --cow "$R/inside" -- true
like "inside the root: an error of its own" "$status $err" '^125 vrun: --cow .*inside the root'
is "... that makes nothing there" "$(ls "$R/inside")" ""
rmdir "$R/inside"
run vrun --cow "$tmp" -- true
like "the root inside it: an error" "$status $err" '^125 vrun: --cow .*inside'
run vrun --cow "$tmp/none" -- true
like "a directory that isn't there: an error that names it" "$status $err" '^125 vrun: --cow .*/none.*No such'
mkdir "$tmp/trap" "$tmp/victim"
ln -s "$tmp/victim" "$tmp/trap/upper"
run vrun --cow "$tmp/trap" -- sh -c 'echo x >/x'
like "a link for DIR/upper is refused" "$status $err" '^125 vrun: --cow .*upper'
is "... and nothing is written where it leads" "$(ls "$tmp/victim")" ""

# --- memory: lost, and limited -----------------------------------------------

vrun --cow tmpfs -- sh -c 'echo x >/lost'
not_ok "with tmpfs nothing is kept" vrun --cow tmpfs -- test -e /lost
run vrun --cow tmpfs:2M -- sh -c 'df -k / | tail -n 1; dd if=/dev/zero of=/big bs=1M count=4'
like "df shows the size" "$out" 'overlay +2048 '
like "... which is the limit" "$err" 'No space left'

# --- mount points, other options ---------------------------------------------

mkdir "$tmp/src"
echo bound >"$tmp/src/f"
run vrun --cow "$C" --bind "$tmp/src:/made/by/vrun" --bind "$tmp/src/f:/made/file" --tmpfs /made/t -- sh -c \
	'cat /made/by/vrun/f /made/file; stat -c "%u %F" /made /made/by'
is "missing mount points are made in the layer" "$(echo $out)" "bound bound 0 directory 0 directory"
ok "... and nothing is in the root" [ ! -e "$R/made" ]
rmdir "$R/mnt"
mkdir "$tmp/r3"
cp "$R/bin/busybox" "$tmp/r3/sh"
run "$VRUN" -q --root "$tmp/r3" --cow tmpfs -- /sh -c 'echo /*; echo x >/dev/null; read -r a _ </proc/uptime && echo read'
is "the default ones as well" "$out" "/dev /proc /run /sh /sys /tmp
read"
mkdir "$R/mnt"
mount -t tmpfs t "$R/mnt"
like "a mount below the root is said to be left out" "$("$VRUN" --root "$R" --cow tmpfs -- true 2>&1)" '^vrun: --cow: .*/mnt'
umount "$R/mnt"
not_ok "--read-only wins" vrun --cow tmpfs --read-only -- touch /x
run vrun --cow "$C" -- sh -c 'for i in 1 2 3 4 5; do mkdir -p /many/$i/a && mv /many/$i /many/b$i; done; ls /many | wc -l'
is "directories made in the layer are renamed freely" "$(echo $out)" 5
leftovers_before
vrun --cow tmpfs -- true
vrun --cow "$C" -- true
leftovers_none "nothing is left of a layer's mounts"

#!/bin/sh
# The context id and the name: claimed by exactly one guest, given back by every end.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"

# Of this run alone: another one may be going on.
x=$((300 + $$ % 9000 * 3))     # and x + 1, x + 2
cg2=$(cgroup2_dir)
vrun() { "$VRUN" -q --root "$R" "$@"; }
listed() { "$VRUN" -q --list | grep -qx "$1"; }
start() { begin "$@" -- sleep 600; }
xid_of() { "$VRUN" --list --json | grep "\"name\":\"$1\"" | sed 's/.*"xid":\([0-9]*\).*/\1/'; }

# --- one of each -------------------------------------------------------------

start "one$$" --xid $x
is "the xid asked for is the one given" "$(xid_of "one$$")" $x
exits "an xid in use is an error" 125 vrun --xid $x -- true
like "which names the option and the number" "$err" "^vrun: --xid $x: in use"
exits "a name in use is an error" 125 vrun --name "one$$" -- true
like "which names the option and the name" "$err" "^vrun: --name one$$: in use"
ok "another guest can be started beside it" vrun -- true
is "its directory belongs to root" "$(stat -c %u:%g:%a "$cg2/vrun/$x")" 0:0:755
is "no process is in the directory that carries limits and programs" "$(cat "$cg2/vrun/$x/cgroup.procs")" ""
isnt "they are in its leaf" "$(cat "$cg2/vrun/$x/payload/cgroup.procs")" ""
ok "the guest ends when told to" "$VRUN" --kill "one$$"
wait
ok "its xid and name are free again at once" vrun --xid $x --name "one$$" -- true
not_ok "and the directory is gone" test -e "$cg2/vrun/$x"

# The name is a claim of its own: a guest that was given the xid may not be in the way of its default name.
start "guest-$((x + 2))" --xid $((x + 1))
ok "somebody else's default name is passed over" vrun -- true
exits "or an error with that very xid" 125 vrun --xid $((x + 2)) -- true
"$VRUN" --kill "guest-$((x + 2))"
wait

# --- many at once ------------------------------------------------------------

n=200
[ -z "${VRUN_KERNEL:-}" ] || n=40       # emulated
i=0
while [ $i -lt $n ]; do
	vrun --hide none --virt none --status-fd 3 -- true 3>"$tmp/status.$i" >/dev/null 2>"$tmp/stderr.$i" &
	i=$((i + 1))
done
wait
# All overlapped or not: an xid may come twice only if the first was over. Held ones can't.
is "$n starts at once all succeed" "$(cat "$tmp"/status.* | grep -c '"event":"exit","code":0')" "$n"
is "without a word" "$(cat "$tmp"/stderr.*)" ""
rm -f "$tmp"/status.*

n=40
[ -z "${VRUN_KERNEL:-}" ] || n=12
mkfifo "$tmp/hold"
i=0
while [ $i -lt $n ]; do
	vrun --hide none --virt none --status-fd 3 -- sleep 600 3>"$tmp/status.$i" >/dev/null 2>&1 &
	i=$((i + 1))
done
all_run() { [ "$(cat "$tmp"/status.* | grep -c '"event":"exec"')" -eq "$n" ]; }
ok "$n guests run at the same time" wait_for 60 all_run
is "each with an xid of its own" \
	"$(cat "$tmp"/status.* | sed -n 's/.*"event":"start".*"xid":\([0-9]*\).*/\1/p' | sort -u | wc -l)" "$n"
names=$(sed -n 's/.*"event":"start","name":"\([^"]*\)".*/\1/p' "$tmp"/status.*)
"$VRUN" -q --list >"$tmp/list"
is "--list knows them all" "$(for name in $names; do grep -x "$name" "$tmp/list"; done | wc -l)" "$n"
for name in $names; do "$VRUN" --kill "$name"; done
wait

i=0
while [ $i -lt 12 ]; do
	vrun --name "same$$" -- sleep 1000 >/dev/null 2>"$tmp/same.$i" &
	i=$((i + 1))
done
refused() { [ "$(grep -l "name same$$: in use" "$tmp"/same.* | wc -l)" -eq "$1" ]; }
wait_for 100 refused 11		# who comes later than the --kill would get the name, and stay
wait_for 30 "$VRUN" -q --kill "same$$"		# the others are refused before it is a guest
wait
ok "of twelve starts with one name, one gets it" refused 11

# --- a supervisor that was killed --------------------------------------------

start "killed$$" --memory 64M --pids 50
xid=$(xid_of "killed$$")
kill -KILL "$pid"
wait "$pid" 2>/dev/null
ok "after kill -9 of its supervisor the name is free" vrun --name "killed$$" --xid "$xid" -- true
leftovers_none "and what was left is removed by that start"

start "killed$$"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
"$VRUN" --list >/dev/null
leftovers_none "--list removes it, too"
exits "a killed guest is no guest" 3 "$VRUN" --status "killed$$"

start "holder$$"                # or /vrun may go
claim=$cg2/vrun/$((x + 2))
for _ in 1 2 3 4 5 6; do        # any vrun may remove it before it is locked
	rm -f "$tmp/held"
	mkdir "$claim" 2>/dev/null
	"$helpers/hold" "$claim/cgroup.kill" 1 1 "$claim" >"$tmp/held" 2>/dev/null &
	hold=$!
	wait_for 10 sh -c "grep -q held '$tmp/held' || ! kill -0 $hold 2>/dev/null"
	! grep -q held "$tmp/held" || break
done
ok "an xid that another vrun is just removing is waited for" vrun --xid $((x + 2)) -- true
is "(it was held)" "$(cat "$tmp/held")" held
wait "$hold"
"$VRUN" --kill "holder$$"
wait

# --- what isn't root's is no guest -------------------------------------------

# The attack: with a tree that others may write to, a user makes a "guest" and has root act on it.
start "holder$$"                # or /vrun may go
# (never root's alone: another vrun would remove it as a dead guest)
mkdir -p "$cg2/vrun" && mkdir -m 777 "$cg2/vrun/$((x + 1))" && chown 1000 "$cg2/vrun/$((x + 1))" && chmod 755 "$cg2/vrun/$((x + 1))"
setfattr -n user.vrun.name -v evil "$cg2/vrun/$((x + 1))" 2>/dev/null
exits "a directory of another user's is no guest" 3 "$VRUN" --status $((x + 1))
unlike "nor listed" "$("$VRUN" --list)" "evil|^.* $((x + 1)) "
exits "and its xid can't be had" 125 vrun --xid $((x + 1)) -- true
ok "but nothing is done to it" test -d "$cg2/vrun/$((x + 1))"
rmdir "$cg2/vrun/$((x + 1))"
"$VRUN" --kill "holder$$"
wait

if command -v setpriv >/dev/null; then
	start "locked$$"
	xid=$(xid_of "locked$$")
	for file in cgroup.kill cgroup.procs; do
		not_ok "an ordinary user can't open $file of a guest to lock it" \
			setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "exec 9>$cg2/vrun/$xid/$file"
	done
	"$VRUN" --kill "locked$$"
	wait
fi

# --- /etc/subuid -------------------------------------------------------------

# In a mount namespace of our own, so that nobody's file is touched.
printf '# comment\nuser:131072:65536\nother:1835008:1000\n' >"$tmp/subuid"
in_subuid() {
	unshare -m sh -c 'mount --bind "$1" /etc/subuid && shift && exec "$@"' sh "$tmp/subuid" "$@"
}
[ -e /etc/subuid ] || { : >/etc/subuid && at_exit rm -f /etc/subuid; }
exits "ids that /etc/subuid has given out are an error" 125 in_subuid "$VRUN" --root "$R" --xid 2 -- true
like "which names the file and the line" "$err" '^vrun: --xid 2: .*131072-196607.*/etc/subuid:2$'
exits "if they overlap by one end only, too" 125 in_subuid "$VRUN" --root "$R" --xid 28 -- true
ok "the next one is free" in_subuid "$VRUN" -q --root "$R" --xid 3 -- true
ok "without a user namespace there are no such ids" in_subuid "$VRUN" -q --root "$R" --userns no --xid 2 -- true

# --- cgroups that the guest makes (--init) -----------------------------------

for u in yes no; do
	run vrun --name "nester$$" --userns $u --init -- sh -c 'cd /sys/fs/cgroup || exit 1; echo max >cgroup.max.depth
		i=0; while mkdir d && cd d; do i=$((i + 1)); done; echo $i; echo $$ >cgroup.procs'
	is "they nest as deep as vrun goes to remove them (userns $u)" "$(echo $out)" 32
	unlike "and are gone with the guest (userns $u)" "$("$VRUN" --list)" "^nester$$ "
done

# Who may mount makes them without --init as well, and in v1 as deep as he likes.
run vrun --name "mounter$$" --userns no --cap-add SYS_ADMIN --pids 50 -- sh -c 'mkdir -p /tmp/c; mount -t cgroup2 c /tmp/c
	cd /tmp/c || exit 1; mkdir x y y/z; i=0; while mkdir d && cd d; do i=$((i + 1)); done 2>/dev/null; echo $i
	mount -t cgroup -o pids c /tmp/c && cd /tmp/c && for i in 0 1 2 3 4 5 6 7 8 9; do mkdir -p a/b/c/d/e/f b/c; cd a/b/c/d/e; done'
is "a guest that may mount nests no deeper" "$out" 32
unlike "and all that is gone with it" "$("$VRUN" --list)" "^mounter$$ "

# --- --cgroup ----------------------------------------------------------------

mkdir "$cg2/vrun-test-parent$$"
start "elsewhere$$" --cgroup /vrun-test-parent$$ --xid $((x + 2))
ok "--cgroup PATH: the guest's directory is there" test -d "$cg2/vrun-test-parent$$/vrun-$((x + 2))/payload"
exits "its xid is taken all the same" 125 vrun --xid $((x + 2)) -- true
exits "and its name" 125 vrun --name "elsewhere$$" -- true
like "--status knows where it is" "$("$VRUN" --status "elsewhere$$")" "cgroup +/vrun-test-parent$$/vrun-$((x + 2))\$"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
"$VRUN" --list >/dev/null
is "a killed supervisor's directory there is removed, too" "$(ls -d "$cg2"/vrun-test-parent$$/*/ 2>/dev/null)" ""
rmdir "$cg2/vrun-test-parent$$"
ok "--cgroup /vrun" vrun --cgroup /vrun --xid $((x + 3)) -- true
not_ok "leaves no directory there" test -e "$cg2/vrun/vrun-$((x + 3))"
exits "--cgroup with no such directory is an error" 125 vrun --cgroup /nowhere/at/all -- true
like "which names it" "$err" "^vrun: --cgroup '/nowhere/at/all': open: No such file"
exits "--cgroup can't lead out" 125 vrun --cgroup /../.. -- true

leftovers_none "nothing is left of all this"

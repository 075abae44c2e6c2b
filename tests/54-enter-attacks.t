#!/bin/sh
# What a guest can do to whoever enters it.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"
cp "$helpers/stalk" "$R/bin/stalk" || exit 1

# --- attacks on who enters ---------------------------------------------------

# CVE-2016-9962, CVE-2019-5736. The control is what enters by setns(2) with a descriptor of the host's open.
times=15 variants="yes no init"
[ -z "${VRUN_KERNEL:-}" ] || times=3 variants=no        # emulated
echo "the host's own" >"$tmp/secret"
for userns in $variants; do
	case $userns in
	init) begin "trap$$" --init -- stalk 6000 ;;
	*) begin "trap$$" --userns $userns -- stalk 6000 ;;
	esac
	ready() { grep -q ready "$tmp/out.trap$$"; }
	wait_for 5 ready
	if [ $userns = yes ] && command -v nsenter >/dev/null; then
		begin "control$$" -- stalk 6000
		init=$("$VRUN" --status "control$$" | awk '$1 == "init" { print $2 }')
		wait_for 5 grep -q ready "$tmp/out.control$$"
		for i in 1 2 3 4 5 6 7 8 9 10; do # until the stalker has had a CPU meanwhile
			nsenter --target "$init" --user --pid --mount --setuid 0 --setgid 0 /bin/busybox sleep 1 9<"$tmp/secret" 2>/dev/null ||
				nsenter --target "$init" --user --pid --setuid 0 --setgid 0 sleep 1 9<"$tmp/secret"
			! grep -Eq '^(fd|stolen) [0-9]+ 9 .*secret' "$tmp/out.control$$" || break
		done
		v --kill "control$$"
		like "control: a guest steals the descriptors of what enters by setns" "$(cat "$tmp/out.control$$")" \
			"^(fd|stolen) [0-9]+ 9 .*secret"
	fi
	i=0
	while [ $i -lt $times ]; do
		"$VRUN" -q --enter "trap$$" -- sleep 0.02 9<"$tmp/secret" >/dev/null 2>&1
		i=$((i + 1))
	done
	for i in 1 2 3 4 5 6 7 8 9 10; do
		v --enter "trap$$" -- sleep 1
		! grep -Eq '^(traced|fd) ' "$tmp/out.trap$$" || break
	done
	v --kill "trap$$"
	caught=$(cat "$tmp/out.trap$$")
	like "userns $userns: the stalker was at work" "$caught" '^(traced|fd) '
	unlike "userns $userns: no descriptor of the host's is to be had from what enters" "$caught" \
		'^(fd|stolen) [0-9]+ ([3-9]|[0-9]{2}) .*(secret|socket|memfd|cgroup|proc|ns:)'
	unlike "userns $userns: nor an executable of the host's to write to" "$caught" '^exe [0-9]+ .*vrun'
	unlike "userns $userns: nor can it be traced while it is still vrun" "$caught" '^traced [0-9]+ .*vrun'
done

sum=$(sha256sum "$VRUN")
printf '#!/proc/self/exe\n' >"$R/bin/evil" && chmod 755 "$R/bin/evil"
begin "evil$$" --userns no -- sh -c 'while :; do for p in /proc/[0-9]*; do
	{ echo overwritten >"$p/exe"; } 2>/dev/null; done; done'
i=0
while [ $i -lt $times ]; do
	"$VRUN" -q --enter "evil$$" -- /bin/evil >/dev/null 2>&1
	i=$((i + 1))
done
is "a command that is #!/proc/self/exe is not a way to vrun's file" "$(sha256sum "$VRUN")" "$sum"
v --kill "evil$$"

# With --init the guest divides its cgroup, and may freeze what it made: who enters then waits for a helper that never runs.
begin "ice$$" --init -- sh -c 'mkdir /sys/fs/cgroup/x && echo $$ >/sys/fs/cgroup/x/cgroup.procs && echo in &&
	echo 1 >/sys/fs/cgroup/x/cgroup.freeze; sleep 100'
guest=$pid
cg2=$(cgroup2_dir)
frozen() { grep -qx 'frozen 1' "$cg2$(v --status "ice$$" | awk '$1 == "cgroup" { print $2 }')/payload/x/cgroup.events"; }
if wait_for 10 frozen; then
	"$VRUN" -q --enter "ice$$" -- true >"$tmp/ice" 2>&1 &
	entering=$!
	end_it() { ! kill -TERM $entering; }
	ok "who enters a guest that froze itself can be ended" wait_for 10 end_it
	kill -KILL $entering 2>/dev/null
	wait $entering
	is "by the signal that he got" $? 143
else
	skip "the guest couldn't freeze itself: $(cat "$tmp/out.ice$$" "$tmp/err.ice$$")"
fi
v --kill "ice$$"
wait $guest

# CVE-2022-31214: a "guest" that somebody else made.
cg2=$(cgroup2_dir)
fake=$((300 + $$ % 20000))
# (never root's alone: another vrun would remove it as a dead guest)
mkdir -p "$cg2/vrun" && mkdir -m 777 "$cg2/vrun/$fake" && chown 1000 "$cg2/vrun/$fake" && chmod 755 "$cg2/vrun/$fake"
mkdir "$cg2/vrun/$fake/payload"
setfattr -n user.vrun.name -v fake "$cg2/vrun/$fake"
chown -R 1000 "$cg2/vrun/$fake"
exits "a guest that isn't root's is not entered" 125 v --enter $fake -- true
like "but unknown" "$err" 'no such guest'
rmdir "$cg2/vrun/$fake/payload" "$cg2/vrun/$fake"
rmdir "$cg2/vrun" 2>/dev/null		# made here, if no guest had

wait
leftovers_none "nothing is left of all this"

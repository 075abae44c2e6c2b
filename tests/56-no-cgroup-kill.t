#!/bin/sh
# Before Linux 5.14 there is no cgroup.kill: what ends a guest then. strace plays such a kernel, in a cgroup2 tree of the
# test's own, since other vruns here would look for another lock than these.
. "$(dirname "$0")/lib.sh"
need root cgroup2 tool:strace tool:unshare

if [ -z "${VRUN_IN_TREE:-}" ]; then
	trap - EXIT
	_remove_tree "$_scratch"
	VRUN_IN_TREE=$(cgroup2_dir)/test-tree$$
	export VRUN_IN_TREE
	mkdir "$VRUN_IN_TREE" || exit 1
	# shellcheck disable=SC2016 # expanded by the inner sh
	sh -c 'echo 0 >"$VRUN_IN_TREE/cgroup.procs" && exec unshare -C -m sh -c "
		umount -l \"\$1\" && mount -t cgroup2 none \"\$1\" && exec sh \"\$2\"" sh "$1" "$2"' sh "$(cgroup2_dir)" "$0"
	status=$?
	i=0
	while [ -e "$VRUN_IN_TREE" ] && [ $i -lt 40 ]; do
		find "$VRUN_IN_TREE" -depth -type d -exec rmdir {} + 2>/dev/null
		i=$((i + 1))
		[ ! -e "$VRUN_IN_TREE" ] || sleep 0.05
	done
	exit $status
fi
mktmp
make_root "$tmp/r"
marker=86397$$ me=old$$
alive() { grep -lz "^$marker\$" /proc/[0-9]*/cmdline 2>/dev/null | grep -q .; }
dead() { ! alive; }
old() { strace -f -qq -o "$tmp/trace" -e trace=openat -P cgroup.kill -e inject=openat:error=ENOENT "$VRUN" -q "$@"; }
running() { old --status "$me"; }
begin() {
	rm -f "$tmp/out"
	strace -f -qq -o "$tmp/trace.$me" -e trace=openat -P cgroup.kill -e inject=openat:error=ENOENT \
		"$VRUN" -q --root "$tmp/r" --name "$me" "$@" >"$tmp/out" 2>&1 </dev/null &
	pid=$!
	wait_for 20 running || { fail "a guest starts"; _diag <"$tmp/out"; }
}
many="sleep $marker & sleep $marker & sleep $marker"

begin -- sh -c "$many"
ok "the kernel is as one without cgroup.kill" grep -q INJECTED "$tmp/trace.$me"
ok "--kill ends a guest" old --kill "$me"
ok "all of it" dead
wait
begin --init --stop-signal TERM -- sh -c "trap 'exit 4' TERM; echo up; sleep $marker & while :; do sleep 0.1; done"
wait_for 20 grep -q up "$tmp/out"
ok "--stop ends one with --init" old --stop "$me"
wait "$pid"
is "which gave its status" $? 4
ok "nothing of it runs" dead
is "what is left when the command ends is killed, too" "$(old --root "$tmp/r" -- sh -c "sleep $marker >/dev/null 2>&1 & echo end")" end
ok "at once" dead
for how in "--share pid" --init; do
	# shellcheck disable=SC2086
	begin $how -- sh -c "$many & wait"
	kill -KILL "$(old --status "$me" | awk '$1 == "supervisor" { print $2 }')"
	ok "$how: a supervisor killed by KILL takes the guest with it" wait_for 5 dead
	wait            # for the supervisor, too: until it is gone there is nothing to tidy up
	old --list >/dev/null
done
is "the tree is empty" "$(find "$(cgroup2_dir)" -mindepth 1 -type d)" ""
sleep 0

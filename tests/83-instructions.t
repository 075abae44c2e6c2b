#!/bin/sh
# second-kernel: no
# lane: guests
# What vrun computes on the way to a guest, counted in instructions of its own: nearly the same count for the same
# program, however busy the machine is. A start that grows by half is a regression that no timing here would show. On
# one CPU, where a step, which is two wake-ups, takes a third of the time; the guest then has a directory for that one.
. "$(dirname "$0")/lib.sh"
need root userns cgroup2 tool:taskset
mktmp
make_root "$tmp/r"
cpu=$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')
run taskset -c "$cpu" "$top/build/helpers/instructions" "$VRUN" -q --root "$tmp/r" /bin/true
echo "# all defaults: $out instructions"
is "a start with all defaults, instruction by instruction, ends well" "$status" 0
[ "$out" -gt 50000 ] && [ "$out" -le 560000 ] && pass "it takes at most 560,000 (2026-11-23, 386,000)" ||
	fail "it takes at most 560,000 (2026-11-23, 386,000): $out"

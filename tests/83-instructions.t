#!/bin/sh
# second-kernel: no
# lane: alone
# What vrun computes on the way to a guest, counted in instructions of its own: nearly the same count for the same
# program, however busy the machine is. A start that grows by half is a regression that no timing here would show.
. "$(dirname "$0")/lib.sh"
need root userns cgroup2
mktmp
make_root "$tmp/r"
run "$top/build/helpers/instructions" "$VRUN" -q --root "$tmp/r" /bin/true
echo "# all defaults: $out instructions"
is "a start with all defaults, instruction by instruction, ends well" "$status" 0
[ "$out" -gt 50000 ] && [ "$out" -le 450000 ] && pass "it takes at most 450,000 (2026-11-22: 290,000-315,000)" ||
	fail "it takes at most 450,000 (2026-11-22: 290,000-315,000): $out"

# shellcheck shell=sh disable=SC2034 # some of these are the files'
# For the tests of guests: $tmp, a busybox root R, what is there before; and guests in the background.

need root cgroup2
mktmp
R=$tmp/r
make_root "$R"
leftovers_before

v() { "$VRUN" -q "$@"; }
is_there() { v --status "$1"; }
# begin NAME OPTION... -- COMMAND: $pid is the supervisor's; output in $tmp/out.NAME, $tmp/err.NAME
begin() {
	_name=$1
	shift
	rm -f "$tmp/out.$_name"         # the shell empties it in its own time, and somebody may look for a word in it
	"$VRUN" -q --root "$R" --name "$_name" "$@" >"$tmp/out.$_name" 2>"$tmp/err.$_name" </dev/null &
	pid=$!
	wait_for 10 is_there "$_name" || { echo "# $_name did not start"; _diag <"$tmp/err.$_name"; }
}

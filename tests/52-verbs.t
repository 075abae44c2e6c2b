#!/bin/sh
# The verbs on running guests.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"

# --- no such guest -----------------------------------------------------------

for verb in --status --stop --kill --pause --resume --wait; do
	exits "$verb of no guest is 3" 3 v $verb nosuch
done
exits "--set of no guest is 3" 3 v --set nosuch --pids 5
exits "--enter of no guest is 125, since 3 may be the command's" 125 v --enter nosuch -- true
like "the line names it" "$err" '^vrun: no such guest: nosuch$'

# --- list, status ------------------------------------------------------------

begin "web$$" -- sleep 600
json=$("$VRUN" --list --json)
like "--list has a line with name, xid, processes and addresses" "$("$VRUN" --list)" "^web$$ +[0-9]+ +2 .* none\$"
ok "no line of it is longer than 80 columns" test -z "$("$VRUN" --list | awk 'length > 80')"
like "-q --list is names only" "$("$VRUN" -q --list)" "^web$$\$"
like "--list --json is a list" "$json" '^\[?\{"name":"web'$$'","xid":[0-9]+,'
if command -v python3 >/dev/null; then
	ok "which a JSON parser takes" sh -c "'$VRUN' --list --json | python3 -m json.tool"
	ok "that of --status, too" sh -c "'$VRUN' --status "web$$" --json | python3 -m json.tool"
	# shellcheck disable=SC2016
	unshare --net sh -c 'ip link add "a\"b" type veth peer name peer0 && ip link set "a\"b" up && exec "$@"' sh \
		"$VRUN" -q --root "$R" --name "odd$$" --share abstract --ip '10.1.2.3/32@a"b' -- sleep 600 >/dev/null 2>&1 &
	wait_for 10 is_there "odd$$"
	is "with a device's name that has a quote in it as well" \
		"$("$VRUN" --status "odd$$" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["addresses"])')" \
		"['10.1.2.3/32@a\"b']"
	v --kill "odd$$"
fi
exits "--status is 0 while the guest runs" 0 "$VRUN" --status "web$$"
for group in info status limit sched cacct cvirt; do
	like "--status has the group $group" "$out" "^$group"
done
xid=$("$VRUN" --status "web$$" | awk '$1 == "xid" { print $2 }')
like "an xid does in place of a name" "$("$VRUN" --status "$xid")" "name +web$$\$"
init=$("$VRUN" --status "web$$" | awk '$1 == "init" { print $2 }')
is "the pid is the guest's pid 1" "$(awk '$1 == "NSpid:" { print $NF }' "/proc/$init/status")" 1
begin "a-name-that-is-longer-than-its-column$$" -- sleep 600
# a guest of 104 days
setfattr -n user.vrun.start -v "-9000000000 0" "$(cgroup2_dir)/vrun/$("$VRUN" --status "$_name" | awk '$1 == "xid" { print $2 }')"
row=$("$VRUN" --list | grep '^a-name-that-i+ ')
like "a long name is cut, and a long time told in hours" "$row" '^a-name-that-i\+ .* 104d[0-9]{2}h +[0-9]+ none$'
is "to the columns of the others" "${#row}" "$("$VRUN" --list | awk "/^web$$ / { print length }")"
v --kill "$_name"
if command -v setpriv >/dev/null; then
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	cp "$VRUN" "$tmp/vrun" && chmod 755 "$tmp" "$tmp/vrun"
	like "--list works for ordinary users" "$(nobody "$tmp/vrun" --list 2>&1)" "^web$$ "
	like "--status, too" "$(nobody "$tmp/vrun" --status "web$$" 2>&1)" "name +web$$"
	exits "the others don't" 125 nobody "$tmp/vrun" --kill "web$$"
	ok "and do nothing" is_there "web$$"
	chmod 700 "$tmp"
fi

# --- pause -------------------------------------------------------------------

begin "beat$$" -- sh -c 'while :; do echo x; sleep 0.05; done'
ok "--pause" v --pause "beat$$"
size=$(wc -c <"$tmp/out.beat$$")
sleep 0.4
is "nothing in it runs then" "$(wc -c <"$tmp/out.beat$$")" "$size"
like "--status says so" "$("$VRUN" --status "beat$$")" 'state +paused'
exits "--enter doesn't wait for it" 125 v --enter "beat$$" -- true
ok "--resume" v --resume "beat$$"
beats() { [ "$(wc -c <"$tmp/out.beat$$")" -gt "$size" ]; }
ok "it goes on" wait_for 5 beats
v --pause "beat$$"
ok "--kill ends a paused guest" v --kill "beat$$"
exits "it is gone" 3 is_there "beat$$"

# --- signals, stop, wait -----------------------------------------------------

begin "sig$$" -- sh -c 'trap "echo usr1" USR1; trap "echo term; exit 5" TERM; echo up; while :; do sleep 0.05; done'
wait_for 5 grep -q up "$tmp/out.sig$$"
ok "--kill --signal sends the command a signal" v --kill "sig$$" --signal USR1
got_usr1() { grep -q usr1 "$tmp/out.sig$$"; }
ok "and only that" wait_for 3 got_usr1
ok "the guest is still there" is_there "sig$$"
"$VRUN" -q --wait "sig$$" &
waiting=$!
waits() { ls -l "/proc/$waiting/fd" | grep -q pidfd; }
wait_for 10 waits
ok "--stop ends it in order" v --stop "sig$$"
exits "and comes back when nothing is left" 3 is_there "sig$$"
wait $waiting
is "--wait has come back, too" $? 0
wait "$pid"
is "the command's own status is its supervisor's" $? 5
begin "paused$$" -- sleep 600
v --pause "paused$$"
ok "--stop ends a paused guest" v --stop "paused$$"
begin "late$$" -- sleep 600
"$VRUN" -q --enter "late$$" -- sleep 6001 >"$tmp/late" 2>&1 &
entering=$!
entered() {
	for _f in /proc/[0-9]*/cmdline; do
		[ "$(tr '\0' ' ' <"$_f")" != "sleep 6001 " ] || return 0
	done
	return 1
}
wait_for 5 entered
v --kill "late$$"
wait $entering
is "whoever is inside a guest that ends gets 125" $? 125
wait_for 2 test -s "$tmp/late"
like "and is told" "$(cat "$tmp/late")" "^vrun: --enter late$$: the guest ended"
begin "both$$" -- sleep 600
v --stop "both$$" & first=$!
v --kill "both$$" & second=$!
wait $first
a=$?
wait $second
b=$?
ok "two verbs that end a guest at once both end well ($a $b)" test "$a$b" = 00 -o "$a$b" = 03 -o "$a$b" = 30
begin "withdir$$" -- sleep 600
run sh -c '"$0" --enter "withdir$$" --tty no -- true </etc' "$VRUN"
like "--enter with a directory on 0-2 is refused" "$status $err" '^125 vrun: --enter: descriptor 0 is a directory'
ok "(without it is not)" "$VRUN" --enter "withdir$$" --tty no -- true
v --kill "withdir$$"
begin "headless$$" -- sleep 600
kill -STOP "$pid"
ok "--kill of a guest whose supervisor is stopped" timeout 100 "$VRUN" --kill "headless$$"
begin "headless$$" -- sleep 600
kill -STOP "$pid"
ok "--stop, too" timeout 100 "$VRUN" --stop "headless$$"
# Without a terminal nobody would continue it: a guest must not be able to stop its supervisor.
if tool=$(command -v setsid); then
	"$tool" "$VRUN" -q --root "$R" --name "alone$$" -- sh -c 'kill -STOP $$; exit 7' </dev/null &
	pid=$!
	wait_for 10 is_there "alone$$"
	init=$("$VRUN" --status "alone$$" | awk '$1 == "init" { print $2 }')
	read -r command _ <"/proc/$init/task/$init/children"
	wait_for 10 grep -q '^State:.T' "/proc/$command/status"
	sleep 0.5
	unlike "a command that stops itself doesn't stop a supervisor that has no terminal" \
		"$(grep '^State' /proc/"$pid"/status)" 'T'
	kill -CONT "$pid"
	wait "$pid"
	is "CONT to vrun continues it" $? 7
fi

ok "the last guest ends" v --kill "web$$"
wait
leftovers_none "nothing is left of all this"

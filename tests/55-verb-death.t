#!/bin/sh
# kill -9 in the middle of each verb, of the verb or of the guest's supervisor: the next command finds a clean host,
# a guest that can be used or none, and nothing half-done that isn't seen. By default at a few system calls of each, at
# others in each run; with VRUN_LONG=1 at every one.
HOST_ADDRS="10.1.2.3/24 10.1.2.4/24 2001:db8::3/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
killat=$helpers/killat
few=8 fewer=3 stride=15
[ -z "$slow" ] || few=1 fewer=1 stride=40
[ -z "${VRUN_LONG:-}" ] || few=100000 fewer=100000 stride=1
leftovers_before

me=d$$ xid=$((3000 + $$ % 20000)) marker=86398$$
v() { "$VRUN" -q "$@"; }
is_there() { v --status "$me"; }
alive() { grep -lz "^$marker\$" /proc/[0-9]*/cmdline 2>/dev/null | grep -q .; }
dead() { ! alive; }
init_options=''
# Not by the pid file: it comes before the exit of the start that is waited for.
begin() {
	rm -f "$tmp/up"
	# shellcheck disable=SC2086
	"$VRUN" -q --root "$R" $abstract --name "$me" --xid "$xid" $init_options --ip 10.1.2.3 --ip 10.1.2.30/24@host0 -- \
		sh -c "trap 'exit 0' TERM; echo up; sleep $marker & while :; do sleep $marker & wait; done" >"$tmp/up" 2>"$tmp/err" &
	pid=$!
	# Told to stop before it catches TERM, pid 1 would go on until all is killed, for a minute.
	wait_for 20 is_there && wait_for 20 grep -q up "$tmp/up" || { fail "the guest starts again"; _diag <"$tmp/err"; exit 1; }
}
addresses() { ip -o addr show dev host0 | grep -c '10\.1\.2\.3[01]/'; }

# What --set changes, as --status tells it: limits, addresses, the mark.
state() {
	v --status "$me" --json | tr ',' '\n' | grep -E '"(memory_limit_bytes|pids_limit|set_unfinished|cpuset)"|cpu_max|10\.1\.|2001:' |
		tr -d '\n'
}
# Every process of the guest is where the limit is.
limited_all() {
	! grep -q "^[0-9]*:.*pids:/" /proc/self/cgroup && return 0
	for p in $(cat "$(cgroup2_dir)"/vrun/"$xid"/payload/cgroup.procs); do
		grep "pids" "/proc/$p/cgroup" 2>/dev/null | grep -q "/vrun-$xid$" || return 1
	done
}

bad=''
wrong() { bad="$bad
call $n: $*"; }

# After a kill of the verb: the guest is there and can be used, or it was to end and has.
usable() {
	v --list >/dev/null || wrong "--list: $?"
	if ! is_there >/dev/null; then
		case "$verb" in --stop | --kill) ;; *) wrong "the guest is gone" ;; esac
		wait "$pid"
		wait_for 5 dead || wrong "a process of it is left"
		begin
		return
	fi
	case $verb in
	--stop | --kill) # told to end or not: then it ends now
		v $verb "$me" 2>/dev/null || [ $? -eq 3 ] || wrong "$verb again"
		wait "$pid"
		begin
		return ;;
	--pause | --resume) v --resume "$me" || wrong "--resume: $?" ;;
	--set)
		now=$(state)
		[ "$now" = "$old" ] || [ "$now" = "$new" ] || case $now in *set_unfinished*) ;; *)
			wrong "half-done and not seen: $now" ;;
		esac
		timeout 120 "$VRUN" -q "$@" || wrong "--set again: $?"
		[ "$(state)" = "$new" ] || wrong "--set again: $(state)"
		limited_all || wrong "a process is not under the limit" ;;
	esac
	timeout 120 "$VRUN" -q --enter "$me" -- true || wrong "--enter: $?"
	# As it was, for the next time.
	case $verb in
	--set)
		v --set "$me" --memory inf --pids inf --cpus inf --cpuset inf --ip 10.1.2.3 --ip 10.1.2.30/24@host0 || wrong "--set back"
		[ "$(state)" = "$old" ] || wrong "--set back: $(state)"
		[ "$(addresses)" -eq 1 ] || wrong "$(addresses) addresses on the device" ;;
	--resume) v --pause "$me" ;;
	esac
}

# After a kill of the supervisor, or not quite.
gone() {
	[ "$1" != yes ] || kill -KILL "$pid" 2>/dev/null        # where this run of the verb had fewer calls
	if [ "$1" = yes ] || ! kill -0 "$pid" 2>/dev/null; then
		wait "$pid" 2>/dev/null
		wait_for 5 dead || wrong "a process of the guest is left"
		v --list >/dev/null || wrong "--list: $?"
		no_addresses() { [ "$(addresses)" -eq 0 ]; }    # another vrun may be at it
		wait_for 3 no_addresses || wrong "$(addresses) addresses are left on the device"
	else	# it was not reached: the end of the verb came first
		v --kill "$me" || wrong "--kill: $?"
		wait "$pid" 2>/dev/null
	fi
	begin
	[ "$verb" != --resume ] || v --pause "$me"
}

# each POINTS: the numbers of system calls to kill at; 3 are the helper's own, before its exec.
each() {
	step=$(((total - 3) / $1 + 1))
	n=$((4 + $$ % step))
}

# series ENDS VERB ARGUMENTS: ENDS: how many of the supervisor's deaths to try
series() {
	ends=$1 verb=$2
	shift
	[ "$verb" != --resume ] || v --pause "$me"
	what="${init_options:+--init: }$verb"
	bad=''
	case $verb in
	--wait) total=40 ;;     # then it waits
	--stop | --kill)
		total=$("$killat" 1000000 "$VRUN" -q "$@" 2>&1 >/dev/null)
		wait "$pid"
		begin ;;
	*)
		total=$("$killat" 1000000 "$VRUN" -q "$@" 2>&1 >/dev/null </dev/null)
		case $verb in
		--set)
			new=$(state)
			v --set "$me" --memory inf --pids inf --cpus inf --cpuset inf --ip 10.1.2.3 --ip 10.1.2.30/24@host0
			old=$(state)
			isnt "$what: it changes what --status shows" "$new" "$old" ;;
		--resume) v --pause "$me" ;;
		--pause) v --resume "$me" ;;
		esac ;;
	esac
	total=${total##*
}
	[ "$total" -gt 30 ] || fail "$what: system calls are counted ($total)"
	each $few
	times=0
	while [ $n -le "$total" ]; do
		"$killat" $n "$VRUN" -q "$@" >/dev/null 2>&1 </dev/null
		usable "$@"
		n=$((n + step)) times=$((times + 1))
	done
	is "$what: killed at $times of its $total system calls, it leaves a guest that can be used, and nothing half-done" "$bad" ""
	[ "$ends" -gt 0 ] || return 0
	bad=''
	each "$ends"
	times=0
	while [ $n -le "$total" ]; do
		timeout 120 "$killat" -o "$pid" $n "$VRUN" -q "$@" >/dev/null 2>&1 </dev/null
		[ $? -ne 124 ] || wrong "the verb doesn't come back"
		gone yes
		n=$((n + step)) times=$((times + 1))
	done
	is "$what: with the supervisor killed at $times of these, nothing of the guest is left" "$bad" ""
	case $verb in --enter | --stop | --kill) ;; *) return 0 ;; esac
	# The supervisor at its own calls meanwhile: until a run ends before that.
	bad=''
	n=1 times=0
	while [ $times -lt $few ]; do
		timeout 120 "$killat" -s "$pid" $n "$VRUN" -q "$@" >/dev/null 2>"$tmp/seen" </dev/null
		[ $? -ne 124 ] || wrong "the verb doesn't come back"
		gone no
		[ "$(tail -n 1 "$tmp/seen")" = $n ] || break
		n=$((n + stride)) times=$((times + 1))
	done
	is "$what: nor with it killed at $times of its own" "$bad" ""
}

begin
series 0 --list
series 0 --status "$me"
series $fewer --enter "$me" -- sh -c true
series $fewer --set "$me" --memory 64M --pids 50 --cpus 0.5 --cpuset 0 --ip 10.1.2.4 --ip 10.1.2.31/24@host0 --ip 2001:db8::3
series $fewer --pause "$me"
series $fewer --resume "$me"
v --resume "$me"
series 1 --wait "$me"
series $fewer --stop "$me"
series $fewer --kill "$me"
v --kill "$me"
wait
init_options="--init --stop-signal TERM"
begin
series $fewer --enter "$me" -- sh -c true
series 1 --stop "$me"
v --kill "$me"
wait
leftovers_none "nothing is left of all this"

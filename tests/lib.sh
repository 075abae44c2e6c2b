# shellcheck shell=sh
# tests/lib.sh - what every test file is written with.
#
#	. "$(dirname "$0")/lib.sh"
#	need root userns
#	mktmp
#	make_root "$tmp/r"
#	ok "a guest runs" "$VRUN" --root "$tmp/r" -- true
#
# A test file is POSIX sh that busybox's ash runs too: the second kernel has
# no other shell.  It prints TAP, counts by itself, and runs alone:
# sh tests/10-x.t, with VRUN=path for another binary than ./vrun.  Its last
# line is reached or it has failed; nothing needs to be said at its end.
#
# Assertions (SENTENCE says what holds when it passes):
#	ok SENTENCE CMD...		CMD exits 0
#	not_ok SENTENCE CMD...		CMD exits anything else, but is not killed
#	exits SENTENCE N CMD...		CMD exits N
#	is SENTENCE GOT EXPECTED	equal strings
#	isnt SENTENCE GOT UNEXPECTED	different strings
#	like SENTENCE GOT ERE		GOT has a line that matches (grep -E)
#	unlike SENTENCE GOT ERE		no line does
#	pass SENTENCE, fail SENTENCE	decided by the caller
#	skip REASON			counts as one test left out
#	run CMD...			no assertion; sets $status $out $err
# CMD runs in this shell, with stdin from /dev/null.
#
# The file as a whole:
#	need root userns cgroup2 bpf net tool:X kernel:X
#	mktmp				$tmp: a 0700 directory that goes away
#	at_exit COMMANDS		run by sh at the end, last given first
#	make_root DIR			a busybox root
#	debian_root NAME [PACKAGE...]	$debian: a shared Debian root, or false
#	in_host_net CMD...		CMD in a fresh network that plays the host;
#					HOST_ADDRS="10.1.2.3/24 ..." are its addresses
#	leftovers_before		remember what the machine holds now
#	leftovers_none SENTENCE		nothing of vrun's is there that was not
#	wait_for SECONDS CMD...		poll until CMD succeeds

set -u
LC_ALL=C
export LC_ALL

top=$(cd "$(dirname "$0")/.." && pwd)
VRUN=${VRUN:-$top/vrun}
case $VRUN in
/*) ;;
*) VRUN=$(cd "$(dirname "$VRUN")" && pwd)/${VRUN##*/} ;;
esac
# shellcheck disable=SC2034 # for the test files: C programs, see HACKING
helpers=$top/build/helpers
# A family of its own, where it is built, see leftovers_none.
if [ -z "${VRUN_FAMILY-}" ] && [ -x "$helpers/family" ]; then
	exec "$helpers/family" sh "$0" "$@"
fi
[ -d "$helpers" ] || { echo "Bail out! build/helpers isn't there: make helpers"; exit 1; }
# shellcheck disable=SC2034 # yes under the emulated second kernel: loop less
slow=${VRUN_KERNEL:+yes}
: "${VRUN_CACHE:=$top/build/tests}" "${VRUN_TMP:=${TMPDIR:-/tmp}}"
: "${VRUN_MUST_WORK:=0}" "${HOST_ADDRS:=}"
export VRUN VRUN_CACHE VRUN_TMP VRUN_MUST_WORK

count=0 failures=0 tmp='' at_exit_commands='' ended_early=yes
_scratch=$(mktemp -d "$VRUN_TMP/vrun-t.XXXXXX") || exit 99

# --- results -----------------------------------------------------------------

_diag() { sed 's/^/# /'; }

pass() {
	count=$((count + 1))
	echo "ok $count - $1"
}

fail() {
	count=$((count + 1)) failures=$((failures + 1))
	echo "not ok $count - $1"
}

# Something this kernel or filesystem doesn't have; the reason is in the totals.
skip() {
	count=$((count + 1))
	echo "ok $count # SKIP $*"
}

run() {
	# The output goes to files: what stays in the background holds no pipe.
	"$@" >"$_scratch/out" 2>"$_scratch/err" </dev/null
	status=$?
	# A process costs 10 ms under the second kernel, and most say nothing.
	out='' err=''
	[ ! -s "$_scratch/out" ] || out=$(cat "$_scratch/out")
	[ ! -s "$_scratch/err" ] || err=$(cat "$_scratch/err")
	return 0
}

_show_run() {
	echo "# ran: $*"
	echo "# exit status: $status"
	[ -z "$out" ] || printf '%s\n' "$out" | tail -n 40 | sed 's/^/# out: /'
	[ -z "$err" ] || printf '%s\n' "$err" | tail -n 40 | sed 's/^/# err: /'
}

ok() {
	_sentence=$1
	shift
	run "$@"
	if [ "$status" -eq 0 ]; then pass "$_sentence"; return 0; fi
	fail "$_sentence"
	_show_run "$@"
	return 1
}

# A command that a signal ended has not refused anything: that is a failure.
not_ok() {
	_sentence=$1
	shift
	run "$@"
	if [ "$status" -ne 0 ] && [ "$status" -le 128 ]; then pass "$_sentence"; return 0; fi
	fail "$_sentence"
	_show_run "$@"
	return 1
}

exits() {
	_sentence=$1 _want=$2
	shift 2
	run "$@"
	if [ "$status" -eq "$_want" ]; then pass "$_sentence"; return 0; fi
	fail "$_sentence"
	echo "# expected exit status: $_want"
	_show_run "$@"
	return 1
}

is() {
	if [ "$2" = "$3" ]; then pass "$1"; return 0; fi
	fail "$1"
	printf '%s\n' "got: $2" | _diag
	printf '%s\n' "expected: $3" | _diag
	return 1
}

isnt() {
	if [ "$2" != "$3" ]; then pass "$1"; return 0; fi
	fail "$1"
	printf '%s\n' "got what should not be: $2" | _diag
	return 1
}

like() {
	if printf '%s\n' "$2" | grep -Eq -e "$3"; then pass "$1"; return 0; fi
	fail "$1"
	printf '%s\n' "got: $2" | _diag
	printf '%s\n' "expected to match: $3" | _diag
	return 1
}

unlike() {
	if ! printf '%s\n' "$2" | grep -Eq -e "$3"; then pass "$1"; return 0; fi
	fail "$1"
	printf '%s\n' "got: $2" | _diag
	printf '%s\n' "expected not to match: $3" | _diag
	return 1
}

wait_for() {
	# Four times what a quiet machine may need: only a failure takes that long.
	_deadline=$(($(date +%s) + 4 * $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -le "$_deadline" ] || return 1
		sleep 0.05
	done
}

# --- the file as a whole -----------------------------------------------------

at_exit() { at_exit_commands="$*
$at_exit_commands"; }

# Never remove a tree that something is still mounted in.
_remove_tree() {
	awk -v d="$1" 'index($5, d "/") == 1 { print $5 }' /proc/self/mountinfo |
		sort -r | while read -r _m; do umount -l "$_m"; done 2>/dev/null
	if awk -v d="$1" 'index($5, d) == 1 { f = 1 } END { exit !f }' /proc/self/mountinfo; then
		echo "# $1 still has mounts, left where it is"
		return
	fi
	rm -rf "$1"
}

_end() {
	_status=$?
	trap - EXIT
	trap '' INT TERM HUP
	[ -z "$at_exit_commands" ] || eval "$at_exit_commands"
	[ -z "$tmp" ] || _remove_tree "$tmp"
	_remove_tree "$_scratch"
	# The exit status of the last assertion doesn't matter; of anything
	# else (a syntax error, an unset variable, a signal) it does.
	if [ "$_status" -gt 1 ] && [ "$ended_early" = yes ]; then
		fail "the file runs to its end (status $_status)"
	fi
	[ "$count" -eq 0 ] || echo "1..$count"
	[ "$failures" -eq 0 ] || exit 1
	exit 0
}
trap _end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

mktmp() {
	tmp=$(mktemp -d "$VRUN_TMP/vrun-test.XXXXXX") || exit 99
	chmod 700 "$tmp"
}

_have() {
	case $1 in
	root) [ "$(id -u)" -eq 0 ] ;;
	userns) [ "$(cat /proc/sys/user/max_user_namespaces 2>/dev/null || echo 0)" -gt 0 ] ;;
	cgroup2) grep -q ' cgroup2 ' /proc/mounts ;;
	bpf) [ "$(id -u)" -eq 0 ] && [ -e /proc/sys/kernel/unprivileged_bpf_disabled ] ;;
	net) [ "$(id -u)" -eq 0 ] && command -v ip >/dev/null && unshare --net true 2>/dev/null ;;
	tool:*) command -v "${1#tool:}" >/dev/null ;;
	kernel:cgroup2-controllers) [ -n "$(cat "$(cgroup2_dir)/cgroup.controllers")" ] ;;
	kernel:bpf-lsm) grep -qw bpf /sys/kernel/security/lsm 2>/dev/null ;;
	kernel:*) grep -qw "${1#kernel:}" /proc/filesystems || modprobe -q "${1#kernel:}" 2>/dev/null ;;
	*) echo "Bail out! need $1: no such need"; exit 99 ;;
	esac
}

# What a machine for tests can be given must be there under VRUN_MUST_WORK=1;
# what its kernel has not (kernel:X) is left out in any case.
need() {
	for _need in "$@"; do
		! _have "$_need" || continue
		ended_early=no
		case $VRUN_MUST_WORK:$_need in
		1:kernel:*) skip "no ${_need#kernel:} in this kernel" ;;
		1:*) fail "this machine has $_need" ;;
		*) skip "needs $_need" ;;
		esac
		exit 0
	done
}

cgroup2_dir() { awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts; }

# --- roots and networks ------------------------------------------------------

# make_root DIR: a busybox root.
. "$top/tests/mkroot.sh"

# A Debian root that all files share, so: copy it, or run on it with --cow.
# debian_root NAME [PACKAGE...] sets $debian; false where there is none.
debian_root() {
	if [ -n "${VRUN_ROOTS-}" ]; then
		debian=$VRUN_ROOTS/$1
		[ -d "$debian" ]
	else
		debian=$("$top/tests/mkroot-debian" "$@") && [ -n "$debian" ]
	fi
}

# A network of its own with lo, and host0 with the addresses of HOST_ADDRS;
# its other end, peer0, is in the same namespace and has none.
in_host_net() {
	# shellcheck disable=SC2016 # expanded by the inner sh
	HOST_ADDRS="$HOST_ADDRS" unshare --net sh -c '
		ip link set lo up || exit 99
		if [ -n "$HOST_ADDRS" ]; then
			ip link add host0 type veth peer name peer0 || exit 99
			ip link set host0 up; ip link set peer0 up
			for a in $HOST_ADDRS; do
				case $a in
				*:*) ip addr add "$a" dev host0 nodad ;;
				*) ip addr add "$a" dev host0 ;;
				esac || exit 99
			done
		fi
		exec "$@"' sh "$@"
}

# --- nothing left behind -----------------------------------------------------

# The pids of the file's own family, one a line; of all there are if nobody keeps it together.
_family() {
	grep -H '^PPid:' /proc/[0-9]*/status 2>/dev/null | awk -F '[/:\t]+' -v top="${VRUN_FAMILY:-0}" '
		{ parent[$3] = $NF }
		END {
			for (p in parent) {
				for (q = p; q != top && q in parent; q = parent[q]);
				if (q == top) print p
			}
		}'
}

# One line a thing that a guest could leave: mounts of this namespace, cgroup
# directories, namespaces that a process of the family is in, processes of vrun.
_things() {
	awk '{ print "mount", $5, $4 }' /proc/self/mountinfo
	awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | while read -r _m; do
		find "$_m" -mindepth 1 -type d -path '*vrun*' 2>/dev/null
	done | sed 's/^/cgroup /'
	_family >"$_scratch/family"
	# This shell's children live in its namespaces: what they add is nothing.
	# shellcheck disable=SC2012
	sed 's|.*|/proc/&/ns/|' "$_scratch/family" | xargs ls -l 2>/dev/null |
		awk 'NF > 1 && $(NF-1) == "->" { print "namespace", $NF }'
	sed 's|.*|/proc/&/comm|' "$_scratch/family" | xargs grep -lx "${VRUN##*/}" 2>/dev/null | sed 's/^/process /'
	sed 's|.*|/proc/&/cgroup|' "$_scratch/family" | xargs grep -l '/vrun' 2>/dev/null | sed 's/^/process /'
}

_snapshot() { _things | sort -u >"$_scratch/$1"; }

leftovers_before() { _snapshot before; }

# Cgroups in which processes run and none is of the family are other guests'. In a v1 one there may be none yet.
_others_guest() {
	case $1 in
	"cgroup "*) find "${1#cgroup }" "$(cgroup2_dir)/vrun/${1##*/vrun-}" -name cgroup.procs -exec cat {} + 2>/dev/null | awk -v family="$_scratch/family" '
		BEGIN { while ((getline pid <family) > 0) own[pid] }
		{ n++; ours += $1 in own } END { exit !n || ours }' ;;
	*) false ;;
	esac
}

# What is new, each time again: other guests that start or end meanwhile are
# seen once.  (comm(1) is no applet of every busybox.)
_nothing_new() {
	_snapshot after
	awk 'NR == FNR { seen[$0]; next } !($0 in seen)' \
		"$_scratch/before" "$_scratch/after" >"$_scratch/new"
	while read -r _thing; do
		_others_guest "$_thing" || echo "$_thing"
	done <"$_scratch/new" >"$_scratch/own"
	[ -z "$_still" ] || { grep -Fx -f "$_scratch/still" "$_scratch/own" >"$_scratch/new"; mv "$_scratch/new" "$_scratch/own"; }
	mv "$_scratch/own" "$_scratch/still"
	_still=yes
	[ ! -s "$_scratch/still" ]
}

# The kernel destroys namespaces and cgroups after the last process is gone.
leftovers_none() {
	_still=
	# Twice: on a busy machine 3 seconds are one look.
	if wait_for 3 _nothing_new || wait_for 3 _nothing_new; then pass "$1"; return 0; fi
	fail "$1"
	sed 's/^/# left: /' "$_scratch/still"
	return 1
}

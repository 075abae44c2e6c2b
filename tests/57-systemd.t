#!/bin/sh
# Where systemd is the host's pid 1: guests in its units. Limits of a unit hold over the guest, and what systemd delegates
# can be divided; however a unit ends, nothing of its guest is left.
# second-kernel: systemd
# Units are no children of this file.
VRUN_FAMILY=1
. "$(dirname "$0")/lib.sh"
need root userns cgroup2 bpf
[ -d /run/systemd/system ] || { skip "systemd isn't this machine's pid 1"; exit 0; }
need kernel:cgroup2-controllers
mktmp
make_root "$tmp/r"
chmod 755 "$tmp"
R=$tmp/r me=u$$ marker=86396$$ unit=vrun-test-$$
cg2=$(cgroup2_dir)
leftovers_before

is "pid 1 is systemd" "$(cat /proc/1/comm)" systemd
alive() { grep -lz "^$marker\$" /proc/[0-9]*/cmdline 2>/dev/null | grep -q .; }
dead() { ! alive; }
running() { "$VRUN" -q --status "$me"; }
show() { systemctl show -P "$1" "$unit"; }
failed() { [ "$(show ActiveState)" = failed ]; }        # then its supervisor is gone, too
at_exit "systemctl stop $unit 2>/dev/null; systemctl reset-failed $unit 2>/dev/null; rm -f /run/systemd/system/$unit.service; systemctl daemon-reload"

# With these properties, to be split.
as_unit() { # "PROPERTY..." COMMAND...
	_properties=$(printf ' -p %s' $1)
	shift
	# shellcheck disable=SC2086
	systemd-run -q --unit="$unit" $_properties -- "$@" 2>/dev/null
}
# guest "PROPERTY..." OPTION... -- COMMAND: in a unit of its own; when it ends, $status, $out, $err. The status line is in
# $tmp/status.
guest() {
	_asked=$1
	shift
	rm -f "$tmp/out" "$tmp/err" "$tmp/status"
	# shellcheck disable=SC2016
	as_unit "Type=oneshot RemainAfterExit=yes StandardOutput=file:$tmp/out StandardError=file:$tmp/err $_asked" \
		/bin/sh -c 'exec "$@" 3>"$0"' "$tmp/status" \
		"$VRUN" -q --root "$R" --hide none --virt none --status-fd 3 "$@"
	status=$(systemctl show -p ExecMainStatus -p Result "$unit" | sort | sed 's/.*=//' | tr '\n' ' ')
	out=$(cat "$tmp/out") err=$(cat "$tmp/err")
	case $status in
	*success*) systemctl stop "$unit" ;;
	*) systemctl reset-failed "$unit" ;;
	esac
}
figure() { sed -n "s/.*\"event\":\"exit\".*\"$1\":\([0-9]*\).*/\1/p" "$tmp/status"; }
at() { sed -n 's/.*"event":"start".*"cgroup":"\([^"]*\)".*/\1/p' "$tmp/status"; }

# --- a unit's limits ---------------------------------------------------------

hungry="dd if=/dev/zero of=/dev/null bs=100M count=1"
guest "" -- sh -c "$hungry && echo fits"
is "control: 100 MB are to be had in a unit without a limit" "$out $status" "fits 0 success "
like "its guest is among the others" "$(at)" '^/vrun/'
guest "MemoryMax=48M MemorySwapMax=0 OOMPolicy=continue" -- sh -c "$hungry; echo alive"
is "MemoryMax holds over the guest: what wants more is killed, and the guest lives on" "$out $status" "alive 0 success "
like "it is below the unit" "$(at)" "/$unit.service/vrun-"
guest "TasksMax=24" --pids 500 -- sh -c 'mkfifo /tmp/p; f() { f | f & }; f 2>/dev/null & read -t 1 x <>/tmp/p; echo alive'
like "TasksMax holds, whatever --pids says" "$out $status" '^alive 0 success'
ok "the guest never had more" [ "$(figure pids_peak)" -le 24 ]
like "on a directory that isn't the unit's" "$(at)" '^/vrun/'

# --- limits below those of a unit --------------------------------------------

# Whichever the controller: of one that can be threaded the kernel would take the order, and then no process.
for limit in "--memory 24M" "--pids 50"; do
	# shellcheck disable=SC2086
	guest "MemoryMax=200M" $limit -- true
	like "$limit in such a unit, without Delegate=yes, is an error" "$status $err" \
		"^125 exit-code  vrun: ${limit% *}: cgroup /[^ ]*/$unit.service is systemd's, which would take the limit away .*Delegate=yes"
done
guest "MemoryMax=200M" --cgroup self --pids 50 -- true
like "with --cgroup self, too" "$status $err" "^125 exit-code  vrun: --pids: cgroup /[^ ]*/$unit.service is systemd's"
guest "MemoryMax=200M Delegate=yes" --pids 50 -- true
like "in one that is delegated vrun itself is in the way, without --cgroup self" "$status $err" \
	"^125 exit-code  vrun: --pids: cgroup /[^ ]*/$unit.service has processes in it .*--cgroup self"
guest "Delegate=yes MemoryMax=200M MemorySwapMax=0 OOMPolicy=continue" --cgroup self --memory 24M --pids 50 -- sh -c \
	"dd if=/dev/zero of=/dev/null bs=16M count=1 && $hungry; echo alive"
is "Delegate=yes and --cgroup self: the guest's own limit holds" "$out $status" "alive 0 success "
like "which counts it" "$(figure oom_kills)" '^[1-9]'
like "below the unit" "$(at)" "/$unit.service/vrun-"
guest "Delegate=yes MemoryMax=32M MemorySwapMax=0 OOMPolicy=continue" --cgroup self --memory 500M -- sh -c "$hungry; echo alive"
is "and the unit's does" "$out $status" "alive 0 success "

# --- how a unit ends ---------------------------------------------------------

net=$helpers/net
programs=$("$net" bpf-name | tr -d ' ')
ip() { command ip -o addr show dev lo; }
# begin "PROPERTY..." OPTION...: its guest runs until it is told to stop
begin() {
	_asked=$1
	shift
	rm -f "$tmp/said"
	# shellcheck disable=SC2016
	case $_asked in *forking*) _fork='"$@" &' ;; *) _fork='exec "$@"' ;; esac
	as_unit "StandardOutput=file:$tmp/said StandardError=inherit $_asked" /bin/sh -c "$_fork" sh \
		"$VRUN" -q --root "$R" --name "$me" --ip 10.9.8.7/32@lo --share abstract --pid-file "/run/$unit.pid" "$@" -- \
		sh -c 'trap "echo in order; exit 0" TERM; echo ready; while :; do sleep '$marker' & wait; done'
	# the pid file stands a moment after COMMAND has been executed
	wait_for 30 grep -qs ready "$tmp/said" && wait_for 30 test -s "/run/$unit.pid" || fail "the unit's guest starts"
}
left() {
	find "$cg2" -type d '(' -path "*/$unit*" -o -path '*vrun*' ! -path '*/vrun-tests.service*' ')'
	[ "$("$net" bpf "$programs")" = "0 0 0 " ] || echo "programs: $("$net" bpf "$programs")"
	ip | grep -oF 10.9.8.7
	ls "/run/$unit.pid" 2>/dev/null
	! alive || echo "processes"
}
nothing() { [ -z "$(left)" ]; }
none_left() {
	if wait_for 10 nothing; then pass "$1"; else is "$1" "$(left)" ""; fi
}

begin "Type=simple"
is "Type=simple: the unit's main process is the supervisor" "$(show MainPID)" "$(cat "/run/$unit.pid")"
ok "(its guest has programs and an address)" sh -c "[ \"\$('$net' bpf $programs)\" != '0 0 0 ' ] && ip -o addr show dev lo | grep -qF 10.9.8.7"
systemctl stop "$unit"
is "systemctl stop ends the guest in order" "$(tail -n 1 "$tmp/said") $(show Result)" "in order success"
none_left "and nothing is left"
begin "Type=simple MemoryMax=200M"
systemctl stop "$unit"
is "systemctl stop where the guest is below the unit, too" "$(tail -n 1 "$tmp/said") $(show Result)" "in order success"
none_left "and nothing is left of that"
begin "Type=forking PIDFile=/run/$unit.pid Delegate=yes MemoryMax=200M" --cgroup self --memory 24M
is "Type=forking with --pid-file: the main process is the supervisor" "$(show MainPID) $(show ActiveState)" \
	"$("$VRUN" --status "$me" | awk '$1 == "supervisor" { print $2 }') active"
systemctl daemon-reload
like "systemd's daemon-reload takes no limit away where it delegated" "$("$VRUN" --status "$me")" '^ +memory .* 24.0M'
systemctl stop "$unit"
is "systemctl stop of that" "$(tail -n 1 "$tmp/said") $(show Result)" "in order success"
none_left "and nothing is left of it, either"
begin "Type=simple"
systemctl kill -s KILL --kill-whom=main "$unit"
ok "systemctl kill of the supervisor: no process of the guest is left" wait_for 10 dead
wait_for 10 failed
"$VRUN" -q --list >/dev/null
systemctl reset-failed "$unit"
rm -f "/run/$unit.pid"
none_left "and nothing else after the next vrun command"
begin "Type=simple Delegate=yes MemoryMax=200M" --cgroup self --memory 24M
systemctl kill -s KILL "$unit"
ok "systemctl kill of all of a unit: no process of the guest is left" wait_for 10 dead
wait_for 10 failed
"$VRUN" -q --list >/dev/null
systemctl reset-failed "$unit"
rm -f "/run/$unit.pid"
none_left "and nothing else after the next vrun command, either"

begin "Type=simple Restart=on-failure RestartSec=0"
supervisor=$(show MainPID)
rm -f "$tmp/said"
"$VRUN" -q --kill "$me"
again() { running && [ "$(show MainPID)" != "$supervisor" ]; }
ok "Restart=on-failure: a guest that was killed is started anew, under its name" wait_for 30 again
systemctl stop "$unit"
none_left "and nothing is left at last"
leftovers_none "the machine is as it was"

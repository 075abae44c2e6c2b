# The calls that the broker answers: for the guest only, by its root only, whatever the guest does meanwhile.
. "$(dirname "$0")/lib.sh"
need root userns cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
cp "$helpers/broker" "$R/bin/broker"
host=$(uname -n)
leftovers_before
guest() { "$VRUN" -q --root "$R" "$@"; }

for u in yes no; do
	is "userns $u: guest root sets the guest's name" "$(guest --userns $u --hostname a -- sh -c 'hostname; hostname b; hostname')" "a
b"
	is "userns $u: and its domain" "$(guest --userns $u -- sh -c 'broker domain d.example; cat /proc/sys/kernel/domainname')" "0
d.example"
	is "userns $u: a user of the guest doesn't" "$(guest --userns $u -u user -- broker name x)" 1
	is "userns $u: nor root without the ccap" "$(guest --userns $u --ccap raw_icmp -- broker name x)" 1
	is "userns $u: /proc/sys is no way round" "$(guest --userns $u -- sh -c 'echo x >/proc/sys/kernel/hostname' 2>&1 |
		grep -c 'Read-only')" 1
	is "userns $u: bad lengths and addresses are the kernel's errors" "$(guest --userns $u -- broker odd)" "22 22 14 14 0"
	is "userns $u: callers killed in the middle harm nothing" "$(guest --userns $u -- broker storm 60)" 0
	is "userns $u: with --share uts the host's name stays" "$(guest --userns $u --share uts -- broker name x)" 1
	exits "userns $u: set_utsname with --share uts is refused" 125 guest --userns $u --share uts --ccap set_utsname -- true
	like "userns $u: with the reason" "$err" '^vrun: --ccap set_utsname: .*--share uts'
done
is "the host's name is what it was" "$(uname -n)" "$host"

# The other ccaps that are brokered.
has() { [ $((0x$(awk '/^CapPrm/ { print $2 }' /proc/self/status) >> $1 & 1)) -eq 1 ]; }
raise='ulimit -n 900; ulimit -H -n 1000; ulimit -H -n 1001 && ulimit -H -n'
for u in yes no; do
	if has 34; then
		echo "vrun's test $$ $u" >/dev/kmsg
		like "userns $u: --ccap syslog lets guest root read the kernel's log" \
			"$(guest --userns $u --ccap syslog -- dmesg)" "vrun's test $$ $u"
		not_ok "userns $u: not clear it" guest --userns $u --ccap syslog -- dmesg -c
		not_ok "userns $u: nor a user read it" guest --userns $u --ccap syslog -u user -- dmesg
	else
		exits "userns $u: --ccap syslog is refused where vrun itself may not" 125 guest --userns $u --ccap syslog -- true
	fi
	if has 24; then
		is "userns $u: --ccap set_rlimit lets guest root raise hard limits" \
			"$(guest --userns $u --ccap set_rlimit -- sh -c "$raise")" 1001
		not_ok "userns $u: not a user" guest --userns $u --ccap set_rlimit -u user -- sh -c "$raise"
	else
		exits "userns $u: --ccap set_rlimit is refused where vrun itself may not" 125 \
			guest --userns $u --ccap set_rlimit -- true
		like "userns $u: and it is said what is missing" "$err" '^vrun: --ccap set_rlimit: .*CAP_SYS_RESOURCE'
	fi
	not_ok "userns $u: without it root doesn't either" guest --userns $u -- sh -c "$raise"
done

# A guest that never lets the broker go. userfaultfd is refused by default, so it is allowed here.
stalling="--userns no --seccomp none --cap-add SYS_PTRACE"
# shellcheck disable=SC2086
"$VRUN" -q --name "stalls$$" --stop-timeout 100 --root "$R" $stalling -- sh -c 'broker stall & while timeout 1 broker name x; do :; done; echo also; sleep 1000' >"$tmp/out" &
pid=$!
if wait_for 5 grep -q . "$tmp/out" && grep -q '^stalled$' "$tmp/out"; then
	wait_for 5 grep -q also "$tmp/out"
	like "(a call whose memory never comes blocks the guest's broker)" "$(cat "$tmp/out")" '^also$'
	is "another guest's broker answers meanwhile" "$(timeout 60 "$VRUN" -q --root "$R" -- broker name fine)" 0
	start=$(date +%s)
	kill -TERM "$pid"
	wait "$pid"
	ok "and the stalled guest's supervisor ends it when told" test $(($(date +%s) - start)) -le 60
else
	kill -KILL "$pid" 2>/dev/null
	wait "$pid"
	skip "this kernel gives no userfaultfd: $(cat "$tmp/out")"
fi

# i386's way to sockets.
if [ "$(uname -m)" = x86_64 ] && [ "$(guest -- broker pair 2>/dev/null)" = "k 0" ]; then
	for u in yes no; do
		is "userns $u: a UNIX socket" "$(guest --userns $u -- broker socket 1 1)" "0 1 1 0"
		is "userns $u: an IPv4 socket, close-on-exec" "$(guest --userns $u -- broker socket 2 $((1 | 02000000)))" "0 2 1 1"
		is "userns $u: VSOCK is refused" "$(guest --userns $u -- broker socket 40 1)" 97
		is "userns $u: with --seccomp none too" "$(guest --userns $u --seccomp none -- broker socket 40 1)" 97
		is "userns $u: SMC is refused" "$(guest --userns $u -- broker socket 43 1)" 97
		is "userns $u: packet sockets need the caller's capability" "$(guest --userns $u -- broker socket 17 3)" 1
		is "userns $u: a pair carries bytes, and its owner is the caller" "$(guest --userns $u -u user -- broker pair)" "k 1000"
		is "userns $u: no other family gets through while memory changes" "$(guest --userns $u -- broker race 1)" "made refused 0"
	done
	is "with the capability a packet socket opens" "$(guest --userns no --cap-add NET_RAW -- broker socket 17 3)" "0 17 3 0"
	is "but not for a user who hasn't it" "$(guest --userns no -u user -- broker socket 17 3)" 1
	if guest --userns no --ccap userns -- true 2>/dev/null; then
		is "nor for one who has it over a user namespace of his own" \
			"$(guest --userns no --ccap userns -u user -- unshare -U -r broker socket 17 3)" 1
	else
		skip "--ccap userns with --userns no: there are v1 hierarchies here"
	fi
else
	skip "no 32-bit ABI here"
fi

# What the broker is.
"$VRUN" -q --name "looked-at$$" --ccap set_utsname --root "$R" -- sh -c 'hostname x; echo up; sleep 600' >"$tmp/up" &
pid=$!
wait_for 5 grep -q up "$tmp/up"
broker=$(grep -l '^vrun-broker' /proc/[0-9]*/cmdline 2>/dev/null | while read -r f; do
	d=${f%/cmdline}
	! grep -q "^PPid:	$pid$" "$d/status" || echo "${d#/proc/}"
done)
is "the broker has the capabilities that it needs, and can gain no other" \
	"$(awk '/^Cap(Inh|Prm|Eff|Bnd|Amb)|^NoNew/ { printf "%s ", $2 }' "/proc/$broker/status")" \
	"0000000000000000 00000000002800c0 00000000002800c0 00000000002800c0 0000000000000000 1 "
is "it holds 0-2, the listener, /proc, and what sysinfo(2) is told from" "$(cd "/proc/$broker/fd" && for f in [3-9] [1-9][0-9]; do
	[ ! -L "$f" ] || readlink "$f"
done | grep -v -e '^/sys/fs/cgroup/.*vrun' -e '^/memfd:vrun-load' -e '^socket:' | sort | tr '\n' ' ')" "/proc anon_inode:seccomp notify "
kill -KILL "$broker"
sleep 0.2
ok "if it dies the guest lives" kill -0 "$pid"
kill -TERM "$pid"
wait "$pid"

# A limit on processes that is reached when the broker is first needed. Where pids is a v1 controller, the caller's.
pids=/sys/fs/cgroup/pids
full='(while :; do sleep 2 & done) 2>/dev/null; sleep 2 & exec free'
if grep -qw pids "$(cgroup2_dir)/cgroup.controllers"; then
	ok "where there is no room for one, the call waits and the guest lives" guest --pids 12 -u user -- sh -c "$full"
elif mkdir "$pids/vrun-test-$$" 2>/dev/null && echo 14 >"$pids/vrun-test-$$/pids.max"; then
	ok "where there is no room for one, the call waits and the guest lives" sh -c "echo \$\$ >$pids/vrun-test-$$/cgroup.procs &&
		exec \"\$0\" \"\$@\"" "$VRUN" -q --root "$R" -u user -- sh -c "$full"
	rmdir "$pids/vrun-test-$$"
else
	skip "no pids controller"
fi
leftovers_none "nothing is left of brokers"

#!/bin/sh
# --enter: one more command in a running guest.
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/guests.sh
. "$top/tests/guests.sh"

begin "web$$" -- sleep 600

# --- enter -------------------------------------------------------------------

e() { run "$VRUN" -q --enter "web$$" "$@"; }
e -- sh -c 'exit 7'
is "--enter gives the command's status" "$status" 7
e -- nosuch
is "127 for a command that isn't there" "$status" 127
e -- /etc/passwd
is "126 for one that can't be executed" "$status" 126
e -- sh -c 'kill -TERM $$'
is "a signal ends both" "$status" 143
is "the words arrive as they are" "$("$VRUN" --enter "web$$" -- printf '%s,' 'a b' '' "*")" "a b,,*,"
is "standard input, too" "$(echo in | "$VRUN" --enter "web$$" -- cat)" in
e -- sh -c 'echo o; echo e >&2'
is "output and errors are apart" "$out,$err" o,e
e -u user -w /tmp -e A=b -e C -- sh -c 'id -u; pwd; echo $A$C$HOME'
is "--user, --workdir, --env" "$(echo "$out" | tr '\n' ' ')" "1000 /tmp b/home "
is "without a command: the user's shell" "$(echo 'echo $0' | "$VRUN" --enter "web$$")" /bin/sh
same='grep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)" /proc/$$/status; cat /proc/$$/cgroup; cd /proc/$$/ns &&
	for n in *; do case $n in *_for_children) ;; *) readlink $n ;; esac; done; umask'
printf '%s\n' "$same" >"$R/bin/same"
begin "twin$$" -- sh -c 'sh /bin/same >/tmp/same; cat /tmp/same; sleep 600'
wait_for 5 grep -q uts "$tmp/out.twin$$"
is "ids, capabilities, filter, cgroup and namespaces are those of the guest's own command" \
	"$("$VRUN" --enter "twin$$" -- sh /bin/same)" "$(cat "$tmp/out.twin$$")"
v --kill "twin$$"
is "only 0-2 are open" "$("$VRUN" --enter "web$$" -- sh -c 'ls /proc/self/fd' | tr '\n' ' ')" "0 1 2 3 "
e -- sh -c 'sleep 4321 >/dev/null 2>&1 & echo started'
is "a daemon may be left behind" "$out" started
# by its own name: vrun's, or the shell's, before it has become sleep(1) has the same words in it
entered() { v --enter "web$$" -- ps -o comm,args | grep -q "^sleep  *sleep $1"; }
ok "it lives on" wait_for 5 entered 4321
"$VRUN" -q --enter "web$$" -- sleep 4322 >/dev/null 2>&1 &
entering=$!
wait_for 5 entered 4322
kill -KILL $entering
wait $entering 2>/dev/null
sleep 0.2
ok "so does a command whose entering vrun was killed" entered 4322
"$VRUN" -q --enter "web$$" -- sh -c 'trap "exit 9" USR1; echo up; while :; do sleep 0.05; done' >"$tmp/up" &
entering=$!
wait_for 5 grep -q up "$tmp/up"
kill -USR1 $entering
wait $entering
is "signals go to the command" $? 9
if command -v script >/dev/null; then
	is "with a terminal it has a pty of the guest" \
		"$(script -qec "'$VRUN' --enter "web$$" -- sh -c 'tty; id -un'" /dev/null </dev/null | tr -d '\r' |
			tr '\n' ' ' | sed 's/\^@//g; s/[0-9]/N/')" "/dev/pts/N root "
	like "of which it is the controlling one" \
		"$(script -qec "'$VRUN' --enter "web$$" -- sh -c 'echo to >/dev/tty'" /dev/null </dev/null)" 'to'
fi
if command -v script >/dev/null; then
	begin "joiner$$" --join "user=web$$" -- sleep 600
	begin "third$$" --join "user=joiner$$" -- sleep 600
	for g in joiner third; do
		is "--join user: its pty is $g's root's" \
			"$(script -qec "'$VRUN' --enter $g$$ -- stat -c %u:%a /dev/pts/0" /dev/null </dev/null | tr -d '\r\n' | sed 's/\^@//g')" 0:620
	done
	is "--join user of one that joined: the same ids" "$("$VRUN" --enter "third$$" -- cat /proc/self/uid_map)" \
		"$("$VRUN" --enter "web$$" -- cat /proc/self/uid_map)"
	v --kill "third$$"
	v --kill "joiner$$"
fi
begin "shut$$" --no-enter -- sleep 600
exits "--no-enter is kept" 125 v --enter "shut$$" -- true
like "and named" "$err" 'no-enter'
ok "but it can be ended" v --kill "shut$$"

# --- enter with --init: pid 1 is a stranger, the supervisor makes the helper ---

cat >"$R/bin/myinit" <<'I'
#!/bin/sh
trap 'exit 0' INT TERM
trap 'echo usr1' USR1
sh /bin/same
echo up
while :; do sleep 0.1; done
I
chmod 755 "$R/bin/myinit"
begin "ini$$" --init -- /bin/myinit
ini=$!
wait_for 5 grep -q up "$tmp/out.ini$$"
is "--init: ids, capabilities, filter, cgroup and namespaces are those of pid 1" \
	"$("$VRUN" --enter "ini$$" -- sh /bin/same)" "$(tr -d "\r" <"$tmp/out.ini$$" | grep -vx -e up -e usr1)"
exits "--init: the command's status" 9 v --enter "ini$$" -- sh -c 'exit 9'
exits "--init: 127 for a command that isn't there" 127 v --enter "ini$$" -- nosuch
is "--init: a call that the filter notifies is answered" "$(v --enter "ini$$" -- sh -c 'hostname entered && hostname')" entered
brokers() {
	grep -l '^vrun-broker' /proc/[0-9]*/cmdline 2>/dev/null | sed 's/cmdline$/status/' |
		xargs grep -l "^PPid:	$pid\$" 2>/dev/null | wc -l
}
ok "--init: by a broker that ends with it" wait_for 10 eval '[ "$(brokers)" -le 1 ]'
v --enter "ini$$" -- sh -c 'sleep 4323 >/dev/null 2>&1 &'
is "--init: a daemon that is left behind is pid 1's child" \
	"$(v --enter "ini$$" -- sh -c 'for p in /proc/[0-9]*; do
		if grep -qs 4323 "$p/cmdline" && [ "$p" != "/proc/$$" ]; then sed -n "s/^PPid:.//p" "$p/status"; fi; done')" 1
ok "--init: --kill --signal reaches pid 1" v --kill "ini$$" --signal USR1
ini_usr1() { grep -q usr1 "$tmp/out.ini$$"; }
ok "which hears it" wait_for 3 ini_usr1
v --stop "ini$$"
wait $ini
is "--init: --stop ends a script as pid 1 with TERM, in its own way" $? 0
mkdir -p "$R/etc/init.d"
printf '::sysinit:/bin/touch /up\n::shutdown:/bin/touch /down\n' >"$R/etc/inittab"
begin "ini$$" --init -- /bin/init
ini=$!
wait_for 5 test -e "$R/up"
v --stop "ini$$"
wait $ini
is "--init: and busybox's init with what that shuts down on" "$? $(ls -d "$R/down" | wc -l)" "0 1"
begin "ini$$" --init --userns no --ip host --share abstract --on-reboot exit -- /bin/myinit
wait_for 5 grep -q up "$tmp/out.ini$$"
sleep 0.3
is "--init --userns no: the same" "$("$VRUN" --enter "ini$$" -- sh /bin/same)" "$(tr -d "\r" <"$tmp/out.ini$$" | grep -vx -e up -e usr1)"
v --kill "ini$$"

ok "the last guest ends" v --kill "web$$"
wait
leftovers_none "nothing is left of all this"

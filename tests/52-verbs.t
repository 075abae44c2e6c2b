#!/bin/sh
# The verbs on running guests, and what a guest can do to whoever enters it.
# limit: 150
. "$(dirname "$0")/lib.sh"
need root cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
cp "$helpers/stalk" "$R/bin/stalk" || exit 1
leftovers_before

v() { "$VRUN" -q "$@"; }
[ -z "${VRUN_KERNEL:-}" ] || settle=1.5 # emulated
is_there() { v --status "$1"; }
begin() { # NAME OPTIONS -- COMMAND
	_name=$1
	shift
	"$VRUN" -q --root "$R" --name "$_name" "$@" >"$tmp/out.$_name" 2>"$tmp/err.$_name" </dev/null &
	pid=$!
	wait_for 10 is_there "$_name" || { echo "# $_name did not start"; _diag <"$tmp/err.$_name"; }
}

# --- no such guest -----------------------------------------------------------

for verb in --status --stop --kill --pause --resume --wait; do
	exits "$verb of no guest is 3" 3 v $verb nosuch
done
exits "--set of no guest is 3" 3 v --set nosuch --pids 5
exits "--enter of no guest is 125, since 3 may be the command's" 125 v --enter nosuch -- true
like "the line names it" "$err" '^vrun: no such guest: nosuch$'

# --- list, status ------------------------------------------------------------

begin web -- sleep 600
json=$("$VRUN" --list --json)
like "--list has a line with name, xid, processes and addresses" "$("$VRUN" --list)" '^web +[0-9]+ +2 .* none$'
ok "no line of it is longer than 80 columns" test -z "$("$VRUN" --list | awk 'length > 80')"
like "-q --list is names only" "$("$VRUN" -q --list)" '^web$'
like "--list --json is a list" "$json" '^\[?\{"name":"web","xid":[0-9]+,'
if command -v python3 >/dev/null; then
	ok "which a JSON parser takes" sh -c "'$VRUN' --list --json | python3 -m json.tool"
	ok "that of --status, too" sh -c "'$VRUN' --status web --json | python3 -m json.tool"
fi
exits "--status is 0 while the guest runs" 0 "$VRUN" --status web
for group in info status limit sched cacct cvirt; do
	like "--status has the group $group" "$out" "^$group"
done
xid=$("$VRUN" --status web | awk '$1 == "xid" { print $2 }')
like "an xid does in place of a name" "$("$VRUN" --status "$xid")" 'name +web$'
init=$("$VRUN" --status web | awk '$1 == "init" { print $2 }')
is "the pid is the guest's pid 1" "$(awk '$1 == "NSpid:" { print $NF }' "/proc/$init/status")" 1
if command -v setpriv >/dev/null; then
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	cp "$VRUN" "$tmp/vrun" && chmod 755 "$tmp" "$tmp/vrun"
	like "--list works for ordinary users" "$(nobody "$tmp/vrun" --list 2>&1)" '^web '
	like "--status, too" "$(nobody "$tmp/vrun" --status web 2>&1)" 'name +web'
	exits "the others don't" 125 nobody "$tmp/vrun" --kill web
	ok "and do nothing" is_there web
	chmod 700 "$tmp"
fi

# --- enter -------------------------------------------------------------------

e() { run "$VRUN" -q --enter web "$@"; }
e -- sh -c 'exit 7'
is "--enter gives the command's status" "$status" 7
e -- nosuch
is "127 for a command that isn't there" "$status" 127
e -- /etc/passwd
is "126 for one that can't be executed" "$status" 126
e -- sh -c 'kill -TERM $$'
is "a signal ends both" "$status" 143
is "the words arrive as they are" "$("$VRUN" --enter web -- printf '%s,' 'a b' '' "*")" "a b,,*,"
is "standard input, too" "$(echo in | "$VRUN" --enter web -- cat)" in
e -- sh -c 'echo o; echo e >&2'
is "output and errors are apart" "$out,$err" o,e
e -u user -w /tmp -e A=b -e C -- sh -c 'id -u; pwd; echo $A$C$HOME'
is "--user, --workdir, --env" "$(echo "$out" | tr '\n' ' ')" "1000 /tmp b/home "
is "without a command: the user's shell" "$(echo 'echo $0' | "$VRUN" --enter web)" /bin/sh
same='grep -E "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)" /proc/$$/status; cat /proc/$$/cgroup; cd /proc/$$/ns &&
	for n in *; do case $n in *_for_children) ;; *) readlink $n ;; esac; done; umask'
printf '%s\n' "$same" >"$R/bin/same"
begin twin -- sh -c 'sh /bin/same >/tmp/same; cat /tmp/same; sleep 600'
wait_for 5 grep -q uts "$tmp/out.twin"
is "ids, capabilities, filter, cgroup and namespaces are those of the guest's own command" \
	"$("$VRUN" --enter twin -- sh /bin/same)" "$(cat "$tmp/out.twin")"
v --kill twin
is "only 0-2 are open" "$("$VRUN" --enter web -- sh -c 'ls /proc/self/fd' | tr '\n' ' ')" "0 1 2 3 "
e -- sh -c 'sleep 4321 >/dev/null 2>&1 & echo started'
is "a daemon may be left behind" "$out" started
entered() { v --enter web -- ps | grep -q "[s]leep $1"; }
ok "it lives on" entered 4321
"$VRUN" -q --enter web -- sleep 4322 >/dev/null 2>&1 &
entering=$!
wait_for 5 entered 4322
kill -KILL $entering
wait $entering 2>/dev/null
sleep 0.2
ok "so does a command whose entering vrun was killed" entered 4322
"$VRUN" -q --enter web -- sh -c 'trap "exit 9" USR1; while :; do sleep 0.05; done' &
entering=$!
sleep 0.5
kill -USR1 $entering
wait $entering
is "signals go to the command" $? 9
if command -v script >/dev/null; then
	is "with a terminal it has a pty of the guest" \
		"$(script -qec "'$VRUN' --enter web -- sh -c 'tty; id -un'" /dev/null </dev/null | tr -d '\r' |
			tr '\n' ' ' | sed 's/\^@//g; s/[0-9]/N/')" "/dev/pts/N root "
	like "of which it is the controlling one" \
		"$(script -qec "'$VRUN' --enter web -- sh -c 'echo to >/dev/tty'" /dev/null </dev/null)" 'to'
fi
begin shut --no-enter -- sleep 600
exits "--no-enter is kept" 125 v --enter shut -- true
like "and named" "$err" 'no-enter'
ok "but it can be ended" v --kill shut

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
begin ini --init -- /bin/myinit
wait_for 5 grep -q up "$tmp/out.ini"
is "--init: ids, capabilities, filter, cgroup and namespaces are those of pid 1" \
	"$("$VRUN" --enter ini -- sh /bin/same)" "$(tr -d "\r" <"$tmp/out.ini" | grep -vx -e up -e usr1)"
exits "--init: the command's status" 9 v --enter ini -- sh -c 'exit 9'
exits "--init: 127 for a command that isn't there" 127 v --enter ini -- nosuch
is "--init: a call that the filter notifies is answered" "$(v --enter ini -- sh -c 'hostname entered && hostname')" entered
v --enter ini -- sh -c 'sleep 4323 >/dev/null 2>&1 &'
is "--init: a daemon that is left behind is pid 1's child" \
	"$(v --enter ini -- sh -c 'for p in /proc/[0-9]*; do
		if grep -qs 4323 "$p/cmdline" && [ "$p" != "/proc/$$" ]; then sed -n "s/^PPid:.//p" "$p/status"; fi; done')" 1
ok "--init: --kill --signal reaches pid 1" v --kill ini --signal USR1
ini_usr1() { grep -q usr1 "$tmp/out.ini"; }
ok "which hears it" wait_for 3 ini_usr1
ok "--init: --stop" v --stop ini
begin ini --init --userns no --ip host --share abstract --on-reboot exit -- /bin/myinit
wait_for 5 grep -q up "$tmp/out.ini"
sleep 0.3
is "--init --userns no: the same" "$("$VRUN" --enter ini -- sh /bin/same)" "$(tr -d "\r" <"$tmp/out.ini" | grep -vx -e up -e usr1)"
v --kill ini

# --- pause -------------------------------------------------------------------

begin beat -- sh -c 'while :; do echo x; sleep 0.05; done'
ok "--pause" v --pause beat
size=$(wc -c <"$tmp/out.beat")
sleep 0.4
is "nothing in it runs then" "$(wc -c <"$tmp/out.beat")" "$size"
like "--status says so" "$("$VRUN" --status beat)" 'state +paused'
exits "--enter doesn't wait for it" 125 v --enter beat -- true
ok "--resume" v --resume beat
sleep 0.4
isnt "it goes on" "$(wc -c <"$tmp/out.beat")" "$size"
v --pause beat
ok "--kill ends a paused guest" v --kill beat
exits "it is gone" 3 is_there beat

# --- signals, stop, wait -----------------------------------------------------

begin sig -- sh -c 'trap "echo usr1" USR1; trap "echo term; exit 5" TERM; while :; do sleep 0.05; done'
sleep 0.3
ok "--kill --signal sends the command a signal" v --kill sig --signal USR1
got_usr1() { grep -q usr1 "$tmp/out.sig"; }
ok "and only that" wait_for 3 got_usr1
ok "the guest is still there" is_there sig
"$VRUN" -q --wait sig &
waiting=$!
sleep "${settle:=0.5}"
ok "--stop ends it in order" v --stop sig
exits "and comes back when nothing is left" 3 is_there sig
wait $waiting
is "--wait has come back, too" $? 0
wait "$pid"
is "the command's own status is its supervisor's" $? 5
begin paused -- sleep 600
v --pause paused
ok "--stop ends a paused guest" v --stop paused
begin late -- sleep 600
"$VRUN" -q --enter late -- sleep 600 >"$tmp/late" 2>&1 &
entering=$!
sleep 0.5
v --kill late
wait $entering
is "whoever is inside a guest that ends gets 125" $? 125
wait_for 2 test -s "$tmp/late"
like "and is told" "$(cat "$tmp/late")" '^vrun: --enter late: the guest ended'
begin both -- sleep 600
v --stop both & first=$!
v --kill both & second=$!
wait $first
a=$?
wait $second
b=$?
ok "two verbs that end a guest at once both end well ($a $b)" test "$a$b" = 00 -o "$a$b" = 03 -o "$a$b" = 30
begin headless -- sleep 600
kill -STOP "$pid"
ok "--kill needs nothing of the supervisor's but its end" sh -c "'$VRUN' --kill headless & sleep 0.5; kill -CONT $pid; wait"

# --- attacks on who enters ---------------------------------------------------

# CVE-2016-9962, CVE-2019-5736. The control is what enters by setns(2) with a descriptor of the host's open.
times=15 variants="yes no init"
[ -z "${VRUN_KERNEL:-}" ] || times=3 variants=no        # emulated
echo "the host's own" >"$tmp/secret"
for userns in $variants; do
	case $userns in
	init) begin trap --init -- stalk 60 ;;
	*) begin trap --userns $userns -- stalk 60 ;;
	esac
	ready() { grep -q ready "$tmp/out.trap"; }
	wait_for 5 ready
	if [ $userns = yes ] && command -v nsenter >/dev/null; then
		begin control -- stalk 60
		init=$("$VRUN" --status control | awk '$1 == "init" { print $2 }')
		wait_for 5 grep -q ready "$tmp/out.control"
		nsenter --target "$init" --user --pid --mount --setuid 0 --setgid 0 /bin/busybox sleep 1 9<"$tmp/secret" 2>/dev/null ||
			nsenter --target "$init" --user --pid --setuid 0 --setgid 0 sleep 1 9<"$tmp/secret"
		v --kill control
		like "control: a guest steals the descriptors of what enters by setns" "$(cat "$tmp/out.control")" \
			"^(fd|stolen) [0-9]+ 9 .*secret"
	fi
	i=0
	while [ $i -lt $times ]; do
		"$VRUN" -q --enter trap -- sleep 0.02 9<"$tmp/secret" >/dev/null 2>&1
		i=$((i + 1))
	done
	v --enter trap -- sleep 0.5
	v --kill trap
	caught=$(cat "$tmp/out.trap")
	like "userns $userns: the stalker was at work" "$caught" '^(traced|fd) '
	unlike "userns $userns: no descriptor of the host's is to be had from what enters" "$caught" \
		'^(fd|stolen) [0-9]+ ([3-9]|[0-9]{2}) .*(secret|socket|memfd|cgroup|proc|ns:)'
	unlike "userns $userns: nor an executable of the host's to write to" "$caught" '^exe [0-9]+ .*vrun'
done

sum=$(sha256sum "$VRUN")
printf '#!/proc/self/exe\n' >"$R/bin/evil" && chmod 755 "$R/bin/evil"
begin evil --userns no -- sh -c 'while :; do for p in /proc/[0-9]*; do
	{ echo overwritten >"$p/exe"; } 2>/dev/null; done; done'
i=0
while [ $i -lt $times ]; do
	"$VRUN" -q --enter evil -- /bin/evil >/dev/null 2>&1
	i=$((i + 1))
done
is "a command that is #!/proc/self/exe is not a way to vrun's file" "$(sha256sum "$VRUN")" "$sum"
v --kill evil

# CVE-2022-31214: a "guest" that somebody else made.
cg2=$(cgroup2_dir)
mkdir -p "$cg2/vrun/99/payload"
setfattr -n user.vrun.name -v fake "$cg2/vrun/99"
chown -R 1000 "$cg2/vrun/99"
exits "a guest that isn't root's is not entered" 125 v --enter 99 -- true
like "but unknown" "$err" 'no such guest'
rmdir "$cg2/vrun/99/payload" "$cg2/vrun/99"

ok "the last guest ends" v --kill web
wait
leftovers_none "nothing is left of all this"

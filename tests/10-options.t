# shellcheck shell=sh
# The command line, option by option as --help lists them: what is no value of
# an option is refused with 125 and one line that names it, and nothing runs.
# second-kernel: no
. "$(dirname "$0")/lib.sh"
mktmp
escape=$(printf '\033')
long=$(printf '%10000s' '' | tr ' ' a)

# OPTION of --help and its metavar (or nothing), a line each; short ones apart.
"$VRUN" --help >"$tmp/help"
sed -n 's/^  [- ][ a-zA-Z][ ,] --\([a-z-]*\)\( [^ ]*\)\{0,1\}\( .*\)\{0,1\}$/\1\2/p' "$tmp/help" >"$tmp/options"
letters=$(sed -n 's/^  -\([a-zA-Z]\), --\([a-z-]*\).*/\1:\2/p' "$tmp/help")
repeated=" $(sed -n '/^May be repeated:/,$p' "$tmp/help" | sed 's/.*repeated://' | tr '\n' ' ' |
	sed 's/--//g') "
verbs=" $(sed -n '/^Verbs:/,/^$/s/^ *--\([a-z-]*\).*/\1/p' "$tmp/help" | tr '\n' ' ') "

# Whether the last run was refused as it should be, naming $1; else why not.
refused() {
	[ "$status" -eq 125 ] || { echo "# exit status $status"; return 1; }
	[ -z "$out" ] || { echo "# on stdout: $out"; return 1; }
	printf '%s\n' "$err" | awk -v name="$1" -v escape="$escape" '
		index($0, escape) { bad = "an escape sequence" }
		NR == 1 && (!/^vrun: / || !index($0, name)) { bad = "no line that names " name }
		NR > 1 { bad = "more than one line" }
		END { if (bad != "") { print "# on stderr: " bad; exit 1 } }' && return
	printf '%s\n' "$err" | cut -c1-300 | sed 's/^/# err: /'
	return 1
}

# refuses SENTENCE NAME WORD...: vrun WORD... is refused, naming NAME.
refuses() {
	_says=$1 _names=$2
	shift 2
	run "$VRUN" "$@"
	if refused "$_names"; then pass "$_says"; else fail "$_says"; fi
}

# --- what --help and the like print ------------------------------------------

run "$VRUN" --help
is "--help exits with 0" "$status" 0
is "--help says nothing on stderr" "$err" ""
like "--help begins with the synopsis" "$(head -n 1 "$tmp/help")" '^usage: vrun \[OPTIONS\] \[--\] COMMAND'
is "--help fits in 80 columns" "$(awk 'length($0) > 80' "$tmp/help")" ""
run "$VRUN" --version
is "--version exits with 0" "$status" 0
like "--version prints a version and nothing else" "$out" '^vrun [0-9.]+$'
# shellcheck disable=SC2016 # expanded by the inner sh
for option in help version check list completion; do
	exits "--$option on a full disk fails" 125 sh -c '"$1" --$2 >/dev/full' sh "$VRUN" $option
	like "with one line that says so" "$err" '^vrun: standard output'
done
run "$VRUN"
is "vrun alone exits with 125" "$status" 125
is "vrun alone prints nothing on stdout" "$out" ""
is "vrun alone prints the synopsis on stderr" "$err" "$(sed '/^$/,$d' "$tmp/help")"

# --- every option ------------------------------------------------------------

# What is no value of the option: any text can be a path, so there it is one
# that isn't there.  '' is the empty word.
cat >"$tmp/bad" <<-EOF2
	name '' - -web .web a/b a:b 1234 $long
	xid '' 0 1 65535 -2 +3 0x10 2x 99999999999999999999
	share '' , pid, ,pid pid,,ipc net user PID mount
	join '' web pid =web pid= pid,=web mount=web pid=a/b pid=-
	userns '' y YES yesno yes,no 1
	until '' exit COMMAND command,last
	root '' /nonexistent/root /dev/null
	bind '' : :/mnt /nonexistent/source /etc:relative /etc:/mnt:no-such-option /etc:/mnt:ro,rw
	tmpfs '' relative /mnt:size=x /mnt:mode=9 /mnt:no-such=1 /mnt: none:size=1M
	cow '' /nonexistent/layer tmpfs: tmpfs:x
	device '' relative /nonexistent/node /etc/passwd /dev/null:rw
	user '' : root: :root a:b:c
	groups '' , a, ,a a,,b
	env '' = =value
	workdir '' relative ./a
	hostname '' a/b a:b $long
	tty '' on YES auto,yes
	keep-fd '' -1 x 3, ,3 99999999999 987654
	cap-add '' NO_SUCH , NET_RAW, all 12x
	cap-drop '' NO_SUCH , NET_RAW, ALL,NO_SUCH
	ccap '' no_such , multicast, MULTICAST!
	seccomp '' /nonexistent/filter /etc/passwd /dev/null /
	ip '' x 1.2.3 1.2.3.4.5 256.1.1.1 1.2.3.4/33 1.2.3.4/ 1.2.3.4/x ::1::2 fe80::/129 1.2.3.9-1.2.3.4
	ip 1.2.3.4- -1.2.3.4 1.2.3.4-::1 1.2.3.4@ 1.2.3.4@a_device_of_many_letters localhost 0.0.0.0 ::
	ip ::ffff:1.2.3.4 01.2.3.4 1.2.3.4@a/b none,host
	loopback '' x 10.0.0.1 ::1 localhost 127.0.0.1.1 127.0.0.0/8
	connect-allow '' x 1.2.3.4/33 1.2.3.4:0 1.2.3.4:65536 1.2.3.4:x 1.2.3.4: [::1 ::1]:80 [::1]:x [::/129]:80
	connect-deny '' x 1.2.3.4/33 1.2.3.4:0 1.2.3.4:65536 1.2.3.4:x 1.2.3.4: [::1 ::1]:80 [::1]:x [::/129]:80
	rlimit '' nofile nofile= =5 no_such=5 nofile=x nofile=-1 nofile=5: nofile=9:5 nofile=5:6:7
	memory '' 0 x -1 1.5G 64MB M 64m! 99999999999999T
	swap '' x -1 1.5G 64MB M 99999999999999T
	pids '' 0 x -1 1.5 99999999999999999999 4194305
	cpus '' 0 x -1 1. .5.5 1e3 99999999999999999999 1.5.5
	cpu-weight '' 0 x -1 10001 1.5
	cpuset '' x , 0, ,0 3-1 -1 0-x 0-1-2 99999999999
	io '' x /dev/${escape}x:rbps=5 /dev/null: /dev/null:rbps=x /dev/null:no_such=5 :rbps=5 /nonexistent/device:rbps=5
	cpu-rate '' x 250 250/ /1000 0/1000 250/0 250/99999 x/y 250/1000,burst=x 250/1000,no_such=5
	cpu-rate 250/1000,burst=251
	sysctl '' x kernel.shmmax kernel.shmmax= =5 kernel.no_such=5 net.ipv4.ip_forward=1 kernel/../x=1
	cgroup '' /${escape}x /nonexistent relative /.. /a/../b selfish
	virt '' no_such mem, ,mem mem,,cpu MEM
	uptime '' x -1 1.5 99999999999999999999
	hide '' no_such net, ,net net,,proc NET
	status-fd '' 0 -1 x 99999999999 987654
	pid-file '' . .. / $tmp/ $tmp /nonexistent/directory/pid /tmp/$long /tmp/$(printf '%250s' '' | tr ' ' b)
	args-file '' /nonexistent/file / /dev/zero
	helper '' /nonexistent/helper
	on-reboot '' reboot RESTART
	stop-signal '' 0 65 -9 NO_SUCH SIG RTMIN+99
	stop-timeout '' x -1 1.5s 10x s 99999999999999999999d
	signal '' 0 65 -9 NO_SUCH SIG RTMIN+99
	disk '' 0 x -1 1.5G 64MB 1G, 1G,inodes= 1G,inodes=x 1G,no_such=5
	status '' - -web a/b 1 65536 $long
	enter '' - -web a/b 1 65536 $long
	set '' - -web a/b 1 65536 $long
	stop '' - -web a/b 1 65536 $long
	kill '' - -web a/b 1 65536 $long
	pause '' - -web a/b 1 65536 $long
	resume '' - -web a/b 1 65536 $long
	wait '' - -web a/b 1 65536 $long
EOF2

# Words that make the option's own value the only thing wrong.
companions() {
	case $1 in
	cow | disk) echo --root / ;;
	swap) echo --memory 64M ;;
	connect-* | ip-later | loopback) echo --ip 192.0.2.1 ;;
	signal) echo --kill no-such-guest ;;
	esac
}

wrong_values() {
	grep "^$1 " "$tmp/bad" | cut -d ' ' -f 2- | tr ' ' '\n' >"$tmp/values"
	case $2 in *FILE*) _path=/nonexistent/ ;; *) _path= ;; esac
	printf '%s\n' "$_path${escape}[31mred" >>"$tmp/values"
	_all_refused=yes
	while IFS= read -r value; do
		[ "$value" != "''" ] || value=
		# shellcheck disable=SC2046
		run "$VRUN" $(companions "$1") "--$1" "$value" -- /bin/echo ran
		refused "--$1" && continue
		printf '# for the value: %.60s\n' "$value" | tr "$escape" '?'
		_all_refused=no
	done <"$tmp/values"
	is "--$1: what is no $2 is refused with one line that names the option" "$_all_refused" yes
}

while read -r name metavar; do
	case $verbs in *" $name "*) command= ;; *) command="-- /bin/echo ran" ;; esac
	if [ -z "$metavar" ]; then
		refuses "--$name takes no value" "--$name" "--$name=1"
		# shellcheck disable=SC2086
		refuses "--$name twice is refused" "--$name" "--$name" "--$name" $command
		continue
	fi
	refuses "--$name without its value is refused" "--$name" "--$name"
	if grep -q "^$name " "$tmp/bad"; then
		wrong_values "$name" "$metavar"
	else
		fail "the test knows wrong values of --$name"
	fi
done <"$tmp/options"

isnt "--help has options" "$(wc -l <"$tmp/options")" 0
like "--memory is among them, with its metavar" "$(cat "$tmp/options")" '^memory SIZE$'

# Good values, to be given twice.
while read -r name value; do
	grep -q "^$name " "$tmp/options" || continue
	case $repeated in *" $name "*) continue ;; esac
	refuses "--$name twice is refused" "--$name: given twice" "--$name" "$value" "--$name=$value" -- /bin/echo ran
done <<EOF2
name web
xid 30000
share uts
join uts=web
userns no
until last
root /
cow tmpfs
user 0
groups 0
workdir /
hostname h
tty no
seccomp default
loopback host
memory 64M
swap 0
pids 5
cpus 1
cpu-weight 5
cpuset 0
cpu-rate 250/1000
cgroup /vrun
virt none
uptime 5
hide none
status-fd 9
pid-file /dev/null
args-file /dev/null
stop-signal TERM
stop-timeout 5
EOF2

for pair in $letters; do
	case $repeated in *" ${pair#*:} "*) continue ;; esac
	refuses "-${pair%%:*} is --${pair#*:}: both are twice" "--${pair#*:}: given twice" \
		"-${pair%%:*}" "--${pair#*:}" "--${pair#*:}" /x /x
done

# --- the walk ----------------------------------------------------------------

refuses "an unknown option is refused" "'--no-such'" --no-such
refuses "an unknown letter is refused" "'-Z'" -Z
refuses "an abbreviation is an unknown option" "'--memor'" --memor 64M -- /bin/echo ran
refuses "an escape sequence in an option's name is not printed" "x1b" "--${escape}[31m"
refuses "two verbs are refused" "--list and --check" --list --check
refuses "an option that the verb doesn't use is refused" "--memory and --list" --list --memory 64M
refuses "an argument that the verb doesn't use is refused" "--list" --list web
refuses "a verb's option without the verb is refused" "--json" --json -- /bin/echo ran
refuses "without --root there is no default COMMAND" COMMAND --name web
refuses "exclusive options are refused, both named" "--cpus and --cpu-rate" \
	--cpus 1 --cpu-rate 250/1000 -- /bin/echo ran
run "$VRUN" --cpu-rate 250/1000 --cpus 1 -- /bin/echo ran
like "in either order; a usage error ends in where help is" "$err" \
	"^vrun: --cpus and --cpu-rate exclude each other\. Try 'vrun --help'\.\$"

# The contract's words that are not there say so.
for name in disk helper on-reboot signal status enter set stop kill pause resume wait unify; do
	grep -q "^$name\\b" "$tmp/options" ||
		refuses "--$name says that it is not in this version" "--$name: not in this version" "--$name" x
done

# --- --args-file -------------------------------------------------------------

# args_file SENTENCE LINE WORD...: a file with a line a WORD is wrong in LINE.
args_file() {
	_sentence=$1 _line=$2
	shift 2
	printf '%s\n' "$@" >"$tmp/args"
	run "$VRUN" --args-file "$tmp/args" -- /bin/echo ran
	if refused "$tmp/args:$_line: "; then pass "$_sentence"; else fail "$_sentence"; fi
}
args_file "an unknown option in a file: FILE:LINE" 3 name=web '# no option' memor=64M
args_file "a wrong value in a file: FILE:LINE" 2 name=web '--memory x'
args_file "a scalar twice in a file: FILE:LINE" 3 name=web '' --name=web
args_file "a value missing in a file: FILE:LINE" 1 --name
args_file "a file in a file: FILE:LINE" 1 args-file=/dev/null
args_file "a line that is no option: FILE:LINE" 1 '-m 64M'
echo memory=x >"$tmp/${escape}[31m"
refuses "an escape sequence in the file's name is not printed" "--memory: 'x'" \
	--args-file "$tmp/${escape}[31m" -- /bin/echo ran

# --- completion --------------------------------------------------------------

if command -v bash >/dev/null; then
	"$VRUN" --completion >"$tmp/completion"
	ok "the completion is bash" bash -n "$tmp/completion"
	# complete WORD...: what the last word could become.
	cat >"$tmp/complete" <<-'EOF2'
		. "$1"; shift
		COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
		_vrun; printf '%s\n' "${COMPREPLY[@]}"
	EOF2
	while read -r name _; do
		bash "$tmp/complete" "$tmp/completion" vrun "--$name" | grep -qx -e "--$name" ||
			echo "--$name"
	done <"$tmp/options" >"$tmp/missing"
	is "every option is completed" "$(cat "$tmp/missing")" ""
	is "a value of words is completed" "$(bash "$tmp/complete" "$tmp/completion" vrun -v --userns y)" yes
	is "after =, too" "$(bash "$tmp/complete" "$tmp/completion" vrun --userns = n)" no
	is "COMMAND's options are not vrun's" \
		"$(bash "$tmp/complete" "$tmp/completion" vrun --name web ls --mem)" ""
else
	skip "no bash"
fi

# --- descriptors -------------------------------------------------------------

exec 9>/dev/null
refuses "one descriptor for --status-fd and --keep-fd is refused" "--status-fd and --keep-fd: 9" \
	--status-fd 9 --keep-fd 9 -- /bin/echo ran
exec 9>&-
run sh -c '"$1" --status-fd 9 -- /bin/echo ran 9</dev/null' sh "$VRUN"
like "--status-fd of a descriptor that can't be written is refused" "$status $err$out" \
	'^125 vrun: --status-fd 9: is not open for writing$'
# What vrun itself opens takes the lowest free number, and must not pass for the caller's descriptor.
for option in keep-fd status-fd; do
	refuses "--$option of a closed descriptor is refused, whatever vrun has opened since" "--$option 3" \
		--$option 3 --pid-file "$tmp/pid" -- /bin/echo ran 3>&-
done

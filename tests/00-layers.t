# Who may call whom, read from the object files with nm.  A new file gets its
# place in this table; the rules are below it.
# second-kernel: no
# lane: program
. "$(dirname "$0")/lib.sh"

order="vrun supervise init guests enter check" # know the order: may call everything
options="opts"				# calls parsers and checks only
concerns="caps identity seccomp root cgroup limits net procvirt unify tty disk time broker"
base="util mnt views fuse relr"		# know no concern
further="hierarchy:cgroup netprog:net netdev:net netshow:net views:procvirt mounts:root guestfs:root cow:root netview:net netsock:net"	# a second file of a room

need tool:nm
mktmp
cd "$top" || exit 1

room() {
	case " $further " in
	*" $1:"*) r=${further#*"$1:"} && echo "${r%% *}" ;;
	*) echo "$1" ;;
	esac
}
known=" $order $options $concerns $base "
for file in *.c; do
	name=${file%.c}
	room=$(room "$name")
	case $known in
	*" $room "*) ;;
	*) fail "$file has a place in the table of tests/00-layers.t" ;;
	esac
	[ -e "build/$name.o" ] || { fail "build/$name.o is there (make)"; exit 1; }
	nm -g --defined-only "build/$name.o" | awk -v f="$room" -v n="$name" '{ print $3, f, n }' >>"$tmp/defined"
	nm -u "build/$name.o" | awk -v f="$room" '{ print $2, f }' >>"$tmp/used"
done

# CALLER SYMBOL OWNER, for calls from one of our files to another.
awk 'NR == FNR { owner[$1] = $2; next } $1 in owner { print $2, $1, owner[$1] }' \
	"$tmp/defined" "$tmp/used" | sort >"$tmp/calls"

# Prints the calls from a file of $1 to one of $2 whose name doesn't match $3.
calls() {
	awk -v from=" $1 " -v to=" $2 " -v but="$3" '
		index(from, " " $1 " ") && index(to, " " $3 " ") && $1 != $3 &&
			(but == "" || $2 !~ but) { print $1 ".c calls " $2 " of " $3 ".c" }' "$tmp/calls"
}

is "no concern calls another" "$(calls "$concerns" "$concerns" '')" ""
is "no concern calls upwards" "$(calls "$concerns" "$order $options" '')" ""
is "util.c and its like call nothing of ours" "$(calls "$base" "$order $options $concerns" '')" ""
is "opts.c calls only *_init, *_parse_* and *_check of the concerns" \
	"$(calls "$options" "$concerns $order" '_init$|_parse(_|$)|_check(_|$)')" ""
is "the order alone applies and undoes" \
	"$(calls "$options $concerns $base" "$concerns" '_(init|check)$|_parse(_|$)' | grep -E '_(apply|undo)' )" ""

# util.c's words are everybody's; everywhere else the prefix is the file's name.
is "a function's prefix is its file's name" "$(awk '
	$2 != "util" && $2 != "vrun" && index($1, $2 "_") != 1 && index($1, $3 "_") != 1 && $1 != $2 && $1 !~ /^__/ {
		print $1 " in " $2 ".c" }' "$tmp/defined")" ""
is "nothing runs a shell" "$(awk '$1 ~ /^(system|popen|wordexp|execlp|execvp|execvpe)$/ {
	print $2 ".c uses " $1 }' "$tmp/used" | grep -v '^\(init\|vrun\).c uses execvpe')" ""
is "nothing that can't be used safely is used" "$(awk '$1 ~ /^(gets|vsprintf|tmpnam|mktemp)$/ {
	print $2 ".c uses " $1 }' "$tmp/used")" ""

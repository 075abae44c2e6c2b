# shellcheck shell=sh
# The manual and the option table say the same.
# second-kernel: no
. "$(dirname "$0")/lib.sh"
mktmp
man=$top/man/vrun.8
"$VRUN" --help >"$tmp/help"

# "LETTER NAME METAVAR" a line, "-" for what there is none of.
sed -n 's/^  \([- ]\)\([ a-zA-Z]\)[ ,] --\([a-z-]*\)\( [^ ]\{1,\}\)\{0,1\}\( .*\)\{0,1\}$/\2 \3\4/p' "$tmp/help" |
	sed 's/^  /- /' | awk '{ print $1, $2, ($3 == "" ? "-" : $3) }' >"$tmp/in_help"
awk '
	/^\.Sh / { inside = /OPTIONS/ || /VERBS/ }
	inside && /^\.It Fl/ {
		letter = metavar = "-"
		name = $3
		if ($4 == "," && $5 == "Fl") { letter = $3; name = $6; if ($7 == "Ar") metavar = $8 }
		else if ($4 == "Ar") metavar = $5
		sub(/^-/, "", name)
		print letter, name, metavar
	}' "$man" >"$tmp/in_man"

isnt "--help has options" "$(wc -l <"$tmp/in_help")" 0
is "the manual has the options of --help, in that order, with letters and metavars" \
	"$(diff "$tmp/in_man" "$tmp/in_help")" ""

sed -n 's/^\([A-Z][a-z]*\):$/\1/p' "$tmp/help" | grep -vx Verbs >"$tmp/groups"
sed -n '/^\.Sh OPTIONS/,/^\.Sh [^O]/s/^\.Ss //p' "$man" >"$tmp/sections"
is "its sections of options are the groups of --help" "$(cat "$tmp/sections")" "$(cat "$tmp/groups")"

sed -n '/^May be repeated:/,$p' "$tmp/help" | sed 's/.*repeated://' | tr ' ' '\n' |
	sed -n 's/^--//p' | sort >"$tmp/repeated"
awk '
	/^\.It Fl/ { name = ($4 == "," ? $6 : $3); sub(/^-/, "", name) }
	/^May be repeated\.$/ { print name }' "$man" | sort >"$tmp/repeated_in_man"
is "it says which may be repeated" "$(cat "$tmp/repeated_in_man")" "$(cat "$tmp/repeated")"

# What is not there is not promised: every option that the text mentions.
grep -o 'Fl -[a-z][a-z-]*' "$man" | sed 's/^Fl -//' | sort -u | while read -r name; do
	grep -q "^[^ ] $name " "$tmp/in_help" || echo "--$name"
done >"$tmp/unknown"
is "it mentions no option that is not there" "$(cat "$tmp/unknown")" ""

for section in NAME SYNOPSIS DESCRIPTION OPTIONS VERBS FILES SECURITY "EXIT STATUS" "STATUS LINES" \
	EXAMPLES COMPATIBILITY BUGS; do
	awk -v title=".Sh $section" '
		$0 == title { there = 1; next }
		/^\.Sh/ { there = 0 }
		there { found = 1 }
		END { exit !found }' "$man" || echo "$section"
done >"$tmp/empty"
is "no section is missing or empty" "$(cat "$tmp/empty")" ""

if command -v mandoc >/dev/null; then
	is "it is clean mdoc" "$(mandoc -Tlint -Wwarning "$man" 2>&1)" ""
	unlike "it can be read on a terminal" "$(mandoc -Tascii "$man" | head -n 1)" '^$'
else
	skip "no mandoc"
fi

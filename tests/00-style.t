# What a reviewer shouldn't have to say.
# second-kernel: no
# lane: program
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

sources=$(ls ./*.c ./*.h tests/*/*.c 2>/dev/null | sed 's|^\./||')
all=$(git ls-files 2>/dev/null || ls ./*.c ./*.h Makefile README HACKING NEWS tests/*)

# A function runs from a { in the first column to the } in the first column.
# shellcheck disable=SC2086
is "no function is longer than 100 lines" "$(awk '
	/^{/ { start = FNR; name = last }
	/^}/ && start { if (FNR - start > 100) print FILENAME ": " name ": " FNR - start " lines"; start = 0 }
	/^[a-z].*\(/ { last = $0 }' $sources)" ""
# shellcheck disable=SC2086
is "no line of C is longer than 130 columns" "$(awk '
	{ line = $0; while (i = index(line, "\t")) line = substr(line, 1, i - 1) \
		substr("        ", 1, 8 - (i - 1) % 8) substr(line, i + 1) }
	length(line) > 130 { print FILENAME ":" FNR }' ./*.c)" ""
# shellcheck disable=SC2086
is "C is indented with tabs" "$(grep -nE '^(	)*        ? ?[^ *]' $sources | grep -vE ':[0-9]+:	* +[^	]*' | head)" ""
# shellcheck disable=SC2086
is "an opening brace of a function stands alone" \
	"$(grep -nE '^[a-z][^=;]*\) *\{ *$' $sources | head)" ""
is "no text file has blanks at an end of line" "$(echo "$all" | xargs grep -nIE '[ 	]+$' | head)" ""
is "every text file ends in a newline" "$(echo "$all" | while read -r file; do
	[ ! -s "$file" ] || [ -z "$(tail -c 1 "$file" | tr -d '\000')" ] || echo "$file"
done)" ""
# shellcheck disable=SC2086
is "every source names its licence" "$(grep -L 'SPDX-License-Identifier: ISC' ./*.c ./*.h)" ""
is "system() and popen() are nowhere" "$(grep -nE '\b(system|popen) *\(' ./*.c | head)" ""

if command -v shellcheck >/dev/null; then
	# shellcheck disable=SC2046
	ok "shellcheck has nothing to say of the scripts" shellcheck -x -P tests -S warning \
		getlibcap .ci/run $(grep -lE '^#!/bin/(ba)?sh' tests/* tests/bench/* 2>/dev/null | grep -v '\.t$')
	ok "shellcheck has nothing to say of the test files" \
		shellcheck -s sh -S warning -e SC1091,SC2154,SC2010,SC2034,SC2043,SC2046,SC2119,SC2120,SC2258,SC3045 tests/*.sh tests/*.t
else
	skip "no shellcheck"
fi
if command -v mandoc >/dev/null && [ -e man/vrun.8 ]; then
	is "the manual is clean mdoc" "$(mandoc -Tlint -Wwarning man/vrun.8 2>&1)" ""
else
	skip "no mandoc or no manual"
fi

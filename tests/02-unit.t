# The unit tests in C, see tests/unit.
. "$(dirname "$0")/lib.sh"
# second-kernel: no
# lane: program
cd "$top" || exit 1

# Each prints TAP lines; they are counted anew here, so that all are one file.
unit() {
	_name=${1##*/}
	run "$@"
	_before=$count
	while read -r _line; do
		case $_line in
		ok\ *) pass "$_name: ${_line#ok *- }" ;;
		not\ ok\ *) fail "$_name: ${_line#not ok *- }" ;;
		1..*) ;;
		*) [ -z "$_line" ] || echo "# $_line" ;;
		esac
	done <<-END
		$out
	END
	[ "$status" -eq 0 ] || { fail "$_name: ends well (status $status)"; _show_run "$@" | tail -n 30; }
	[ "$count" -gt "$_before" ] || fail "$_name: says something"
}

for source in tests/unit/*.c; do
	name=$(basename "$source" .c)
	if [ -x "build/unit/$name" ]; then
		unit "build/unit/$name"
	else
		fail "build/unit/$name is there (make check, or make unit)"
	fi
done

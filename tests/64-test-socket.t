# CPython's test_socket in a guest with IPv4, IPv6 and a loopback, test by test against the same outside.
# second-kernel: no
HOST_ADDRS="10.1.2.1/24 10.1.2.3/24 2001:db8::1/64 2001:db8::3/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
# Debian has it in a package of its own (libpython3-testsuite); python3 may be a script that finds one of several.
python=
for p in python3 /usr/bin/python3; do
	p=$("$p" -c 'import sys, test.test_socket; print(sys.executable)' 2>/dev/null) && python=$p && break
done
[ -n "$python" ] || { skip "no Python with test.test_socket"; exit 0; }
cp "$top/tests/servers/suite.py" "$tmp"

# What a guest has not, whatever the host has: families of sockets that pass under the address programs or are
# little used code (SYSTEM CALLS in the manual), and SCTP, with addresses of its own accord.
not_for_guests='(CAN|RDS|AF_ALG|LinuxKernelCryptoAPI|QIPCRTR|Bluetooth|TIPC|HyperV|SCTP)'

# Two of the tests look up the machine's own name.
# shellcheck disable=SC2086
suite_inside() {
	"$VRUN" -q --hostname "$(hostname)" --bind "$tmp:/mnt:ro" --ip 10.1.2.3 --ip 2001:db8::3 --workdir /tmp $1 -- \
		"$python" /mnt/suite.py "$2" $3 >"$4" 2>"$4.err" </dev/null
}
outside() { (cd / && "$python" "$tmp/suite.py" "$1" $2) >"$3" 2>"$3.err" </dev/null; }
# compare NAME OUTSIDE INSIDE [OPTIONS]
compare() {
	grep -c ' ok$' "$2" | sed 's/^/# passed outside: /'
	grep -c ' ok$' "$3" | sed 's/^/# passed inside: /'
	grep -v -E "$not_for_guests" "$2" | sort >"$2.sorted"
	grep -v -E "$not_for_guests" "$3" | sort >"$3.sorted"
	if [ "$(wc -l <"$2.sorted")" -lt 100 ]; then
		fail "$1: (the suite runs)"
		cat "$2.err" "$3.err" | _diag
		return
	fi
	# Tests of the suite have bounds of a second or two, which a busy machine doesn't keep: what differs is asked again.
	for _ in 1 2; do
		_names=$(diff "$2.sorted" "$3.sorted" | sed -n 's/^[<>] \([^ ]*\) .*/\1/p' | sort -u)
		[ -n "$_names" ] && ! printf '%s\n' "$_names" | grep -qv '^test[.]' || break
		echo "# again: $(echo $_names)"
		outside 1 "$_names" "$2.again"
		suite_inside "${4-}" 1 "$_names" "$3.again"
		[ -s "$2.again" ] || break
		sort "$2.again" >"$2.sorted"
		sort "$3.again" >"$3.sorted"
	done
	is "$1: passes inside what passes outside, and nothing else is different" "$(diff "$2.sorted" "$3.sorted")" ""
	grep -E "$not_for_guests.* ok$" "$2" | sed 's/^/# not for guests: /'
}

outside 12 test.test_socket "$tmp/out" &
outside=$!
suite_inside "" 12 test.test_socket "$tmp/in"
wait $outside
compare "test_socket, --hide net" "$tmp/out" "$tmp/in"
if [ -n "${VRUN_LONG-}" ]; then
	suite_inside "--hide mount,proc $abstract" 12 test.test_socket "$tmp/direct"
	compare "test_socket, without --hide net" "$tmp/out" "$tmp/direct" "--hide mount,proc $abstract"
	more=$("$python" -c '
import importlib
for m in "socketserver urllib2_localnet asyncore asynchat ftplib telnetlib imaplib poplib smtplib xmlrpc select epoll poll \
		selectors httpservers httplib wsgiref".split():
	try:
		importlib.import_module("test.test_" + m)
		print("test.test_" + m)
	except Exception: pass
for m in "sock_lowlevel streams server events sendfile".split(): print("test.test_asyncio.test_" + m)' | tr '\n' ' ')
	# "network" is the loopback to these; this network has no way out.
	outside 8,network "$more" "$tmp/more-out"
	suite_inside "" 8,network "$more" "$tmp/more-in"
	compare "what Python builds on sockets" "$tmp/more-out" "$tmp/more-in"
fi

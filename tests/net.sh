# shellcheck shell=sh disable=SC2034,SC2154 # with lib.sh's variables; some of ours are the files'
# For the tests of addresses: the file runs in a network of its own that plays
# the host, with $HOST_ADDRS on host0. Sets R, a root with the helper `net`,
# and guest, net (on the host), outside.

if [ -z "${VRUN_IN_NET:-}" ]; then
	need root net cgroup2 bpf
	trap - EXIT
	_remove_tree "$_scratch"
	VRUN_IN_NET=1 && export VRUN_IN_NET
	in_host_net sh "$0"
	exit
fi
mktmp
R=$tmp/r
make_root "$R"
cp "$helpers/net" "$R/bin/net"
net=$helpers/net
sysctl_net() { echo "$2" >"/proc/sys/net/$1"; }

# Where Linux can't keep abstract UNIX sockets apart (6.12), this isn't asked for.
abstract=
[ "$("$net" scope)" -ge 6 ] || abstract="--share abstract"

# shellcheck disable=SC2086
guest() {
	case " $* " in
	*" --ip "*) "$VRUN" -q --root "$R" $abstract "$@" ;;
	*) "$VRUN" -q --root "$R" "$@" ;;
	esac
}

# says SENTENCE EXPECTED VRUN-OPTION... -- OP...: what `net` in a guest prints
says() {
	_says=$1 _want=$2
	shift 2
	run guest "$@"
	is "$_says" "${out% }${err:+ ($err)}" "$_want"
}

# host SENTENCE EXPECTED OP...: the same on the host, as the positive control
host() {
	_says=$1 _want=$2
	shift 2
	run env NET_SOON=15000 "$net" "$@"
	is "(outside: $_says)" "${out% }" "$_want"
}

# serve_guest FILE SECONDS TAG VRUN-OPTION... -- SPEC...: in the background; waits until it is ready
serve_guest() {
	_file=$1 _secs=$2 _tag=$3
	shift 3
	_opts=
	while [ "$1" != -- ]; do
		_opts="$_opts $1"
		shift
	done
	shift
	# shellcheck disable=SC2086
	guest $_opts -- net serve "$_tag" "$_secs" "$@" >"$_file" 2>&1 &
	wait_for 20 grep -q '^ready' "$_file" || { cat "$_file"; return 1; }
}

serve_host() {
	_file=$1 _secs=$2
	shift 2
	"$net" serve HOST "$_secs" "$@" >"$_file" 2>&1 &
	wait_for 20 grep -q '^ready' "$_file"
}
ask() { "$net" ask "$1" "$2" | sed 's/ *$//'; }

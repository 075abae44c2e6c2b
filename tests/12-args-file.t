# shellcheck shell=sh
# --args-file, with guests that run; 10-options.t has what is refused.
. "$(dirname "$0")/lib.sh"
need root userns
mktmp
make_root "$tmp/root"

cat >"$tmp/guest" <<EOF2
# A guest.

root=$tmp/root
--hostname from-file
  --env  GREETING=good  morning
env=OTHER==
read-only
--
sh
-c
# skipped here too
echo "\$(hostname):\$GREETING:\$OTHER:\$MORE:\$1"; touch /file 2>/dev/null || echo read-only
name
  two words
EOF2

run "$VRUN" --args-file "$tmp/guest"
is "a guest runs by its file: name=web, --name=web, --name web, flags and arguments" \
	"$out$err" "from-file:good  morning:=::  two words
read-only"
run "$VRUN" --hostname by-hand --env MORE=more --args-file "$tmp/guest"
is "a scalar of the command line replaces the file's, a list's entry is added" \
	"$out$err" "by-hand:good  morning:=:more:  two words
read-only"
# shellcheck disable=SC2016 # the guest expands it
run "$VRUN" --args-file "$tmp/guest" --env GREETING=hi sh -c 'echo "$GREETING"'
is "COMMAND of the command line replaces the file's, and its list comes last" "$out$err" hi
run "$VRUN" --args-file "$tmp/guest" -- hostname
is "after -- too" "$out$err" from-file
# shellcheck disable=SC2016 # the inner sh expands it
run sh -c '"$1" --args-file /dev/stdin <"$2"' sh "$VRUN" "$tmp/guest"
like "it can be a pipe or a descriptor" "$out" '^from-file:'
run "$VRUN" --args-file "$tmp/guest" --name talker -v true
like "-v says who the guest is, on stderr" "$err" '^vrun: guest talker: xid [0-9]+, pid [0-9]+, cgroup /'

# --- as the caller -----------------------------------------------------------

cp "$VRUN" "$tmp/vrun" && chmod 4755 "$tmp/vrun" && chmod 711 "$tmp"
echo 'no-such-option=secret' >"$tmp/private"
chmod 600 "$tmp/private"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
if as_nobody true 2>/dev/null; then
	run "$tmp/vrun" --args-file "$tmp/private" -- true
	like "root reads it: the control" "$err" "private:1: no such option"
	run as_nobody "$tmp/vrun" --args-file "$tmp/private" -- true
	is "a caller of a setuid vrun who may not read it gets 125" "$status" 125
	like "and is told why" "$err" "^vrun: --args-file '.*/private'.*: Permission denied$"
	unlike "and nothing of what is in it" "$err" 'no-such-option'
else
	skip "no setpriv that changes ids"
fi

# The executable itself.
# second-kernel: no
# lane: program
. "$(dirname "$0")/lib.sh"
need tool:readelf tool:strip
mktmp

headers=$(readelf -hlW "$VRUN")
dynamic=$(readelf -dW "$VRUN")
unlike "it is static: no interpreter" "$headers" INTERP
unlike "it needs no library" "$dynamic" NEEDED
like "it is position independent" "$headers" 'Type: +DYN'
like "its stack can't be executed" "$headers" 'GNU_STACK .* RW '
unlike "no segment is both writable and executable" "$headers" 'LOAD.*RWE'
like "its relocated data becomes read-only" "$headers" GNU_RELRO
like "everything is bound at start" "$dynamic" 'BIND_NOW|FLAGS.*NOW'
unlike "its text has no relocations" "$dynamic" TEXTREL

cp "$VRUN" "$tmp/vrun" && strip "$tmp/vrun"
echo "# stripped, it has $(wc -c <"$tmp/vrun") bytes"
exits "it runs: --version" 0 "$VRUN" --version
exits "nothing asked for: the synopsis, 125" 125 "$VRUN"

# The unit tests, the fuzzers (some seconds each) and vrun itself with address
# and undefined-behaviour sanitizers, on glibc.
# second-kernel: no
# lane: program
# limit: 900
. "$(dirname "$0")/lib.sh"
need tool:make tool:gcc tool:clang
mktmp
cd "$top" || exit 1
ok "the unit tests run clean" make -s -j 2 asan
ok "the fuzzers find nothing in 2 seconds each" make -s -j 2 fuzz SECONDS=2

[ -x build/asan/vrun ] || { fail "build/asan/vrun is there"; exit 1; }
ASAN_OPTIONS=detect_leaks=0
export ASAN_OPTIONS
for words in --help --version --completion --list --check "--explain --root /tmp --memory 64M -- true" \
	"--no-such" "--root /nonexistent -- true" "--root /tmp --rlimit nofile=x" "--args-file /dev/null"; do
	# shellcheck disable=SC2086
	run build/asan/vrun $words
	unlike "vrun $words runs clean" "$err" 'Sanitizer|runtime error'
done

# What gcc's and clang's analyzers and the sanitizers find.
# second-kernel: no
# lane: program
# limit: 900
. "$(dirname "$0")/lib.sh"
need tool:make tool:clang-tidy
cd "$top" || exit 1
ok "gcc -fanalyzer and clang-tidy find nothing" make -s analyze

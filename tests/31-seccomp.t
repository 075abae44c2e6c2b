# What the filter refuses, with the errno that the manual says; and that the kernel itself would not have.
. "$(dirname "$0")/lib.sh"
need root userns cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
cp "$helpers/syscalls" "$R/bin/syscalls"
machine=$(uname -m)

# NAME ERRNO, from the table in the manual.
manual=$top/man/vrun.8
awk '/^\.It .* Ta E[A-Z]+ Ta / { sub(/^\.It /, ""); split($0, f, " Ta "); n = split(f[1], name, ", ")
	for (i = 1; i <= n; i++) print name[i], f[2] }' "$manual" | sort >"$tmp/manual"
isnt "the manual has the table" "$(wc -l <"$tmp/manual" | tr -d ' ')" 0
if [ -x "$top/build/unit/seccomp" ]; then
	"$top/build/unit/seccomp" --table | grep -v ' broker$' | sort -u >"$tmp/source"
	is "the manual's table is the program's" "$(diff "$tmp/source" "$tmp/manual")" ""
fi

"$helpers/syscalls" | sort -u >"$tmp/outside"
for u in yes no; do
	run "$VRUN" -q --userns $u --root "$R" -- /bin/syscalls
	is "userns $u: the program that tries them ends well" "$status" 0
	printf '%s\n' "$out" | sort -u >"$tmp/inside"
	for abi in native ia32; do
		[ "$abi:$machine" != ia32:aarch64 ] || continue
		grep "^$abi " "$tmp/inside" >"$tmp/abi" || continue
		while read -r name errno; do
			grep -q "^$abi $name " "$tmp/abi" || continue
			is "userns $u: $name of the $abi ABI is $errno" \
				"$(awk -v n="$name" '$2 == n { print $3 }' "$tmp/abi" | tr '\n' ' ')" "$errno "
		done <"$tmp/manual"
	done
	is "userns $u: high bits hide no ioctl" "$(awk '$2 == "ioctl-high-bits" { print $3 }' "$tmp/inside")" EPERM
	is "userns $u: nor a family" "$(awk '$2 == "socket-high-bits" { print $3 }' "$tmp/inside")" EAFNOSUPPORT
	is "userns $u: a call that nobody has judged is ENOSYS" "$(awk '$2 == "newer" { print $3 }' "$tmp/inside")" ENOSYS
	is "userns $u: what isn't refused works" \
		"$(awk '$2 ~ /^(socket-unix|socket-inet|ioctl-other|setns-other)$/ { print $3 }' "$tmp/inside" | tr '\n' ' ')" "EBADF EBADF 0 0 "
	! grep -q '^x32' "$tmp/inside" ||
		is "userns $u: x32 is ENOSYS" "$(awk '$1 == "x32" { print $3 }' "$tmp/inside" | sort -u)" ENOSYS
done
# The control: outside, by the same program, none of these errors, but ENOSYS of what this kernel hasn't.
is "(outside the kernel answers otherwise)" "$(awk 'NR == FNR { want[$1] = $2; next }
	$1 == "native" && want[$2] == $3 && $3 != "ENOSYS" && !($2 ~ /^socket/) { print $2, $3 }' "$tmp/manual" "$tmp/outside")" ""
if grep -q '^native socket 0' "$tmp/outside"; then pass "(a VSOCK or ALG socket opens outside)"; else skip "no VSOCK or ALG in this kernel"; fi

# --seccomp none, --ccap userns
run "$VRUN" -q --seccomp none --userns no --root "$R" -- /bin/syscalls
printf '%s\n' "$out" >"$tmp/none"
is "--seccomp none drops the deny list" "$(awk '$1 == "native" && $2 ~ /^(keyctl|bpf)$/ { print $3 }' "$tmp/none" |
	grep -cE 'ENOSYS')" 0
is "but not what other promises rest on" "$(awk '$1 == "native" && $2 ~ /^(kexec_load|clone|unshare|clone3|io_uring_setup)$/ { print $2, $3 }' "$tmp/none" |
	sort | tr '\n' ' ')" "clone EPERM clone3 ENOSYS io_uring_setup ENOSYS kexec_load EPERM unshare EPERM "
run "$VRUN" -q --ccap userns --root "$R" -- unshare -U true
is "--ccap userns lets the guest make user namespaces" "$status" 0
for u in yes no; do
	not_ok "userns $u: else it doesn't" "$VRUN" -q --userns $u --root "$R" -- unshare -U true
	not_ok "userns $u: not even with --seccomp none" "$VRUN" -q --userns $u --seccomp none --root "$R" -- unshare -U true
	not_ok "userns $u: the kernel's log is not to be read" "$VRUN" -q --userns $u --root "$R" -- dmesg
done
ok "(outside it is)" dmesg

# --seccomp FILE: mkdir(2) and mkdirat(2) refused with EROFS, as raw BPF. load nr; if mkdir or mkdirat: EROFS; allow.
insn() { printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8)))\\$(printf %o "$2")\\$(printf %o "$3")\\$(printf %o $(($4 & 255)))\\$(
	printf %o $(($4 >> 8 & 255)))\\$(printf %o $(($4 >> 16 & 255)))\\$(printf %o $(($4 >> 24 & 255)))"; }
case $machine in
x86_64) mkdir=83 mkdirat=258 ;;
*) mkdir=34 mkdirat=34 ;;
esac
{ insn 0x20 0 0 0; insn 0x15 1 0 $mkdir; insn 0x15 0 1 $mkdirat; insn 6 0 0 $((0x00050000 | 30)); insn 6 0 0 $((0x7fff0000)); } >"$tmp/bpf"
# Everything but execve(2) kills: what a filter for COMMAND alone may be.
{ insn 0x20 0 0 0; insn 0x15 0 1 99999; insn 6 0 0 0; insn 6 0 0 $((0x7fff0000)); } >"$tmp/harmless"
for u in yes no; do
	run "$VRUN" -q --userns $u --seccomp "$tmp/bpf" --root "$R" -- sh -c 'mkdir /tmp/x || grep NoNewPrivs /proc/self/status'
	like "userns $u: --seccomp FILE holds in the guest" "$err" 'Read-only file system'
	like "userns $u: it sets no_new_privs" "$out" '^NoNewPrivs:	1$'
	run "$VRUN" -q --userns $u --seccomp "$tmp/harmless" --root "$R" -- /bin/syscalls
	like "userns $u: it comes on top of the default list" "$out" '^native bpf EPERM$'
	ok "userns $u: a filter may come through a pipe" sh -c "cat '$tmp/bpf' | '$VRUN' -q --userns $u --seccomp /dev/stdin --root '$R' -- true"
done
"$VRUN" -q --name "filtered-$$" --seccomp "$tmp/bpf" --root "$R" -- sh -c 'echo up; sleep 600' >"$tmp/up" &
pid=$!
wait_for 5 grep -q up "$tmp/up"
run "$VRUN" --enter "filtered-$$" -- sh -c 'mkdir /tmp/x; grep Seccomp_filters /proc/self/status'
like "what enters is under it, too" "$err$out" 'Read-only file system.*Seccomp_filters:	2'
kill -TERM "$pid"
wait "$pid"
for u in yes no; do
	run "$VRUN" -q --init --userns $u --seccomp "$tmp/bpf" --root "$R" -- /bin/sh -c 'mkdir /tmp/x; echo $$'
	like "userns $u: and an --init" "$err$out" 'Read-only file system'
	like "userns $u: (which is pid 1)" "$out" '^1.?$'
done
printf 'not a filter' >"$tmp/bad"
: >"$tmp/empty"
for file in bad empty nosuch .; do
	exits "--seccomp $file is refused" 125 "$VRUN" -q --seccomp "$tmp/$file" --root "$R" -- true
	like "with one line that names it" "$err" "^vrun: --seccomp .*$file"
done
run "$VRUN" -q --root "$R" -- grep Seccomp /proc/self/status
like "the filter is one program" "$out" '^Seccomp_filters:	1$'

# NETLINK_CONNECTOR: with the host's network a guest would hear of each of the host's processes.
cp "$helpers/procevents" "$R/bin/procevents"
rm -f "$tmp/heard" "$tmp/listener"
"$helpers/procevents" listen >"$tmp/listener" &
listener=$!
hears=
if wait_for 10 grep -q listens "$tmp/listener"; then
	"$helpers/procevents" >"$tmp/heard" &
	hears=$!
	ok "(outside: who listens hears of processes, once the kernel tells of them)" wait_for 10 grep -q heard "$tmp/heard"
	for o in "--ip host --share abstract" "--ip host --share abstract --userns no" "--ip none --seccomp none"; do
		# shellcheck disable=SC2086
		is "a guest doesn't, $o" "$("$VRUN" -q --root "$R" $o -- procevents)" "socket EAFNOSUPPORT"
	done
else
	skip "no process events in this kernel: $(cat "$tmp/listener")"
fi
# shellcheck disable=SC2086
kill "$listener" $hears 2>/dev/null
wait "$listener" 2>/dev/null || true

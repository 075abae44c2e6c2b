#!/bin/sh
# reboot(2) in the guest is the guest's: restart, halt, power off; and the helper hears of it.
. "$(dirname "$0")/lib.sh"
need root cgroup2
mktmp
make_root "$tmp/r"
R=$tmp/r
cat >"$tmp/helper" <<H
#!/bin/sh
echo "\$1 \$2" >>$tmp/heard
[ "\$1" != "\$(cat $tmp/refuse 2>/dev/null)" ]
H
cat >"$R/bin/once" <<'S'
#!/bin/sh
echo boot >>/root/boots
[ "$(grep -c boot /root/boots)" -ge "${1:-2}" ] && exec poweroff -f
exec reboot -f
S
chmod 755 "$tmp/helper" "$R/bin/once"
boot_id=$(cat /proc/sys/kernel/random/boot_id)

for u in yes no; do
	: >"$R/root/boots"
	: >"$tmp/heard"
	"$VRUN" --userns $u --name "re$$" --status-fd 9 --helper "$tmp/helper" --init --root "$R" -- /bin/once 2 \
		9>"$tmp/status" >/dev/null 2>"$tmp/err"
	is "userns $u: power off ends the guest with status 0" $? 0
	is "userns $u: reboot restarted it once" "$(grep -c boot "$R/root/boots")" 2
	is "userns $u: the same context, xid and all" "$(grep -o '"xid":[0-9]*' "$tmp/status" | sort -u | wc -l)" 1
	is "userns $u: --status-fd tells start, restart, start, exit" \
		"$(sed 's/.*"event":"\([a-z]*\)".*/\1/' "$tmp/status" | tr '\n' ' ')" "start exec restart start exec exit "
	is "userns $u: the helper heard all of it" "$(tr '\n' ' ' <"$tmp/heard")" \
		"startup re$$ restart re$$ startup re$$ poweroff re$$ shutdown re$$ "
done
: >"$R/root/boots"
run "$VRUN" --init --root "$R" -- /bin/once 100
is "a guest that reboots in a loop is stopped with an error" "$status" 125
like "which says so" "$err" 'restarted five times'
is "at the sixth restart" "$(grep -c boot "$R/root/boots")" 6
: >"$R/root/boots"
ok "--on-reboot exit: reboot ends the guest, status 0" "$VRUN" --on-reboot exit --init --root "$R" -- /bin/once 2
is "and it ran once" "$(grep -c boot "$R/root/boots")" 1
ok "without --init reboot(2) ends the guest, too" "$VRUN" --root "$R" -- sh -c 'reboot -f; sleep 9'
echo startup >"$tmp/refuse"
run "$VRUN" --helper "$tmp/helper" --root "$R" -- touch /root/ran
is "a helper that refuses the startup aborts the start" "$status" 125
not_ok "and the command did not run" test -e "$R/root/ran"
is "the host did not reboot" "$(cat /proc/sys/kernel/random/boot_id)" "$boot_id"
rm -f "$tmp/refuse"
cat >"$tmp/helper" <<H
#!/bin/sh
cat >>$tmp/read
echo "heard of \$1"
H
echo input >"$tmp/input"
"$VRUN" --helper "$tmp/helper" --root "$R" -- cat <"$tmp/input" >"$tmp/out" 2>"$tmp/err"
is "a helper takes nothing of the command's input, and adds nothing to its output" \
	"$(cat "$tmp/out" "$tmp/read")" input
is "what it prints goes to standard error" "$(tr '\n' ' ' <"$tmp/err")" "heard of startup heard of shutdown "
exits "--helper must be an absolute path" 125 "$VRUN" --helper x --root "$R" -- true
# Not by trying: the machine that tests this would be the one to reboot.
run "$VRUN" --userns no --share pid --root "$R" -- sh -c 'grep CapBnd /proc/self/status | cut -f 2'
is "with --share pid a guest's root has no CAP_SYS_BOOT, which would count on the host" $((0x$out >> 22 & 1)) 0
sleep 0

#!/bin/sh
# --uptime: the guest's clocks begin where it says, and all of them agree.
. "$(dirname "$0")/lib.sh"
need root cgroup2
mktmp
make_root "$tmp/r"
chmod 700 "$tmp"
cp "$helpers/view" "$tmp/r/bin/view"
leftovers_before

# FIRST..LAST holds the number's whole part
between() {
	w=${2%%.*}
	if [ "$w" -ge "$3" ] && [ "$w" -le "$4" ]; then pass "$1"; else fail "$1"; echo "# $2 is not in $3..$4"; fi
}
guest() { run "$VRUN" --root "$tmp/r" "$@"; }
word() { printf '%s\n' "$out" | awk -v k="$1" '$1 == k { print $2 }'; }

for u in yes no; do
	guest --userns "$u" -- sh -c 'view clocks; cat /proc/uptime; date +%s; grep btime /proc/stat; cut -d" " -f22 /proc/1/stat'
	between "userns $u: uptime begins at 0" "$(printf '%s\n' "$out" | sed -n 4p)" 0 60
	between "userns $u: CLOCK_BOOTTIME does" "$(word boottime)" 0 60
	between "userns $u: CLOCK_MONOTONIC does" "$(word monotonic)" 0 60
	between "userns $u: sysinfo(2) does" "$(word sysinfo)" 0 61
	now=$(printf '%s\n' "$out" | sed -n 5p)
	between "userns $u: btime in /proc/stat is now" "$(word btime)" $((now - 61)) $((now + 1))
	between "userns $u: init's start time is the guest's, in 1/100 s" "$(printf '%s\n' "$out" | tail -n 1)" 0 6000
done
guest --uptime 100000 -- sh -c 'view clocks; cat /proc/uptime; uptime'
between "--uptime 100000: uptime begins there" "$(printf '%s\n' "$out" | sed -n 4p)" 100000 100060
between "--uptime 100000: CLOCK_BOOTTIME does" "$(word boottime)" 100000 100060
between "--uptime 100000: CLOCK_MONOTONIC does" "$(word monotonic)" 100000 100060
between "--uptime 100000: sysinfo(2) does" "$(word sysinfo)" 100000 100061
like "--uptime 100000: uptime(1) says 1 day, 3:46 or 47" "$out" 'up 1 day, +3:4[67]'
guest --uptime 4611686018 -- cat /proc/uptime
between "--uptime 4611686018, the most that the kernel takes" "$out" 4611686018 4611686078
for how in "--uptime host" "--virt mem" "--virt none"; do
	host=$(cut -d. -f1 /proc/uptime)
	# shellcheck disable=SC2086 # two words
	guest $how -- sh -c 'cat /proc/uptime; view clocks'
	between "$how: /proc/uptime is the host's" "$(printf '%s\n' "$out" | sed -n 1p)" "$host" $((host + 60))
	between "$how: so is the clock" "$(word boottime)" "$host" $((host + 60))
done

refused() {
	exits "$1 is refused" 125 "$VRUN" $1 --root "$tmp/r" -- true
	like "and the message names it" "$err" "^vrun: ${2:---uptime}"
}
for bad in "" x -1 1.5 4611686019 99999999999999999999 Host " 1"; do
	exits "--uptime '$bad' is refused" 125 "$VRUN" --uptime "$bad" --root "$tmp/r" -- true
	like "and the message names it" "$err" '^vrun: --uptime'
done
refused "--uptime 5 --virt mem"
refused "--virt time" "--virt time"
for bad in "" x "mem," ,mem mem,all "mem cpu"; do
	exits "--virt '$bad' is refused" 125 "$VRUN" --virt "$bad" --root "$tmp/r" -- true
	like "and the message names it" "$err" '^vrun: --virt'
done
for bad in "" x "net," all,net; do
	exits "--hide '$bad' is refused" 125 "$VRUN" --hide "$bad" --root "$tmp/r" -- true
	like "and the message names it" "$err" '^vrun: --hide'
done
leftovers_none "nothing is left behind"

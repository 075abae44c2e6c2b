#!/bin/sh
# What this machine's tools and runtimes make of a guest with 256 MiB and one CPU: a table for the log.
# second-kernel: no
. "$(dirname "$0")/lib.sh"
need root cgroup2
[ -c /dev/fuse ] || { skip "needs /dev/fuse"; exit 0; }
mktmp
chmod 700 "$tmp"
mkdir -p "$tmp/r/usr" "$tmp/r/etc" "$tmp/r/proc" "$tmp/r/sys" "$tmp/r/dev" "$tmp/r/tmp" "$tmp/r/run" "$tmp/r/root"
for d in bin sbin lib lib64; do [ ! -e "/$d" ] || ln -s "usr/$d" "$tmp/r/$d"; done
leftovers_before

# TOOL NAME ERE COMMAND: what it says inside matches; both sides are shown.
tool() {
	if ! command -v "$1" >/dev/null 2>&1; then skip "$2: no $1 here"; return; fi
	inside=$("$VRUN" -q --root "$tmp/r" --bind /usr --bind /etc --memory 256M --cpus 1 --cpuset 0 -- sh -c "$4" 2>&1 | tr '\n' ' ')
	like "$2" "$inside" "$3"
	printf '# %-28s inside: %-40.100s outside: %.60s\n' "$2" "$inside" "$(sh -c "$4" 2>&1 | tr '\n' ' ')"
}
tool free "procps free" ' 262144 ' 'free | grep Mem'
tool busybox "busybox free" ' 262144 ' 'busybox free | grep Mem'
tool top "top: memory" '256\.0 total' 'top -bn1 | grep "MiB Mem"'
tool top "top: uptime" 'up 0 min' 'top -bn1 | head -n 1'
tool vmstat "vmstat: free" '^2[0-9]{5} *$' 'vmstat | awk "NR == 3 { print \$4 }"'
tool nproc nproc '^1 $' nproc
tool lscpu lscpu '^1 $' "lscpu -p=cpu | grep -vc '#'"
tool getconf "getconf: CPUs" '^1 $' 'getconf _NPROCESSORS_ONLN'
tool getconf "getconf: pages" '^65536 $' 'getconf _PHYS_PAGES'
tool uptime uptime 'up 0 min.*load average: 0\.00' uptime
tool w w 'up 0 min' 'w | head -n 1'
tool ps "ps: init started now" '^0 $' \
	'a=$(date -d "$(ps -o lstart= -p 1)" +%s); b=$(date +%s); [ $((b - a)) -lt 20 ] && [ $((b - a)) -ge -1 ] && echo 0 || echo $((b - a))'
tool python3 "python os.sysconf" '^1 65536 $' \
	'python3 -c "import os; print(os.sysconf(\"SC_NPROCESSORS_ONLN\"), os.sysconf(\"SC_PHYS_PAGES\"))"'
tool perl "perl, times since boot" '^0 $' 'perl -e "open F, \"/proc/uptime\"; print int((split / /, <F>)[0] / 20), \"\n\""'
tool node "node: CPUs, memory" '^1 256 $' 'node -e "const o=require(\"os\"); console.log(o.cpus().length, o.totalmem()/1048576)"'
tool java "java: a quarter of 256 MiB or half" '^(64|12[0-9]) 1 $' \
	'java -XX:+PrintFlagsFinal -version 2>/dev/null | awk "/ MaxHeapSize/ { printf \"%d \", \$4 / 1048576 }"
	 d=$(mktemp -d) && cd "$d" && echo "class A { public static void main(String[] a) { System.out.println(Runtime.getRuntime().availableProcessors()); } }" >A.java && java A.java; rm -r "$d"'
leftovers_none "nothing is left behind"

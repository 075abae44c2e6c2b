# What tools and runtimes make of a guest with 64 MiB and one CPU, and of its addresses: tables for the log.
# second-kernel: no
HOST_ADDRS="10.1.2.1/24 10.1.2.3/24 10.1.2.5/24 2001:db8::1/64 2001:db8::3/64 2001:db8::5/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
[ -c /dev/fuse ] || { skip "needs /dev/fuse"; exit 0; }
D=$tmp/d
mkdir -p "$D/usr" "$D/etc" "$D/proc" "$D/sys" "$D/dev" "$D/tmp" "$D/run" "$D/root" "$D/mnt"
for d in bin sbin lib lib64; do [ ! -e "/$d" ] || ln -s "usr/$d" "$D/$d"; done
PATH=/usr/bin:/usr/sbin:/bin:/sbin TERM=xterm
export PATH TERM

# All tools run in one guest (two for the addresses) and once outside: TOOL NAME PATTERN COMMAND each.
new_table() {
	t=$tmp/t rows=0
	rm -rf "$t"
	mkdir "$t"
	cp "$helpers/sock" "$tmp/all" "$t"
}
tool() {
	if ! command -v "$1" >/dev/null; then skip "$2: no $1 here"; return; fi
	rows=$((rows + 1))
	printf '%s\n' "$4" >"$t/$rows.sh"
	printf '%s\n' "$2" >"$t/$rows.name"
	printf '%s\n' "$3" >"$t/$rows.pattern"
}
# shellcheck disable=SC2016
printf '%s\n' 'cd "$1" || exit; PATH=$PATH:$PWD' 'for f in *.sh; do timeout 60 sh "$f" 2>&1 </dev/null |' \
	'	sed "s/^[[:space:]]*//; s/[[:space:]][[:space:]]*/ /g" >"${f%.sh}.$2"; done' >"$tmp/all"
outside() { sh "$tmp/all" "$t" outside; }
inside() { # inside NAME VRUN-OPTION...
	_who=$1
	shift
	"$VRUN" -q --root "$D" --bind /usr --bind /etc --bind "$t:/mnt:idmap" --env TERM=xterm "$@" \
		-- sh /mnt/all /mnt "$_who" || fail "the tools run in $_who"
}
row() { # row NAME GUEST
	printf '# %-30s | %-52.52s | %.72s\n' "$1" "$(tr '\n' ' ' <"$t/$i.$2")" "$(tr '\n' ' ' <"$t/$i.outside")"
}

# --- memory, CPUs, time ------------------------------------------------------

new_table
tool free "free" '^Mem: 65536 ' 'free; sleep 1'
tool free "free -m" '^Mem: 64 ' 'free -m | grep Mem'
tool busybox "busybox free" '^Mem: 65536 ' 'busybox free | grep Mem'
tool top "top: memory" '64\.0 total' 'top -bn1 | grep "MiB Mem"'
tool top "top: uptime, load" 'up 0 min.*load average: 0\.[0-9]*,' 'top -bn1 | head -n 1'
tool top "top: tasks" '^Tasks: [1-9] total' 'top -bn1 | grep Tasks'
tool busybox "busybox top: memory" '^Mem: [0-9]*K used, [0-5][0-9]{4}K free' 'busybox top -bn1 | head -n 1'
# A terminal's picture: the codes go.
# shellcheck disable=SC1003
plain="tr -d '\\033' | sed 's/\\[[0-9;?]*[a-zA-Z]//g; s/([B0]//g'"
tool htop "htop: memory" '/64\.0M' "printf q | timeout 100 htop -d 2 | $plain | grep -o 'Mem.[^]]*M'"
tool htop "htop: uptime" 'Uptime: 00:00:[0-5]' "printf q | timeout 100 htop -d 2 | $plain | grep -o 'Uptime: [0-9:]*'"
tool htop "htop: CPU meters" '^1$' "printf q | timeout 100 htop -d 2 | $plain | grep -oE '[0-9.]+%\]|offline' | wc -l"
tool vmstat "vmstat: free" '^[1-6][0-9]{4}$' 'vmstat | awk "NR == 3 { print \$4 }"'
tool vmstat "vmstat -s" '^65536 K total memory' 'vmstat -s | head -n 1'
tool nproc nproc '^1$' nproc
tool lscpu lscpu '^CPU\(s\): 1$' 'lscpu | grep -m 1 "^CPU(s)"'
tool lscpu "lscpu -p" '^1$' "lscpu -p=cpu | grep -vc '#'"
tool lscpu "lscpu: NUMA" '^0$' 'lscpu | sed -n "s/^NUMA node0 CPU(s): *//p"'
tool nproc "nproc --all" '^1$' 'nproc --all'
tool busybox "busybox nproc --all" '^1$' 'busybox nproc --all'
tool numactl "numactl -H" '^available: 1 nodes \(0\) node 0 cpus: 0 node 0 size: 64 MB' 'numactl -H | tr "\n" " "'
tool lstopo-no-graphics "lstopo" '^Machine \(64MB total\) .*PU L#0 \(P#0\) $' 'lstopo-no-graphics --no-io | tr "\n" " "'
tool lsmem lsmem 'does not support' 'lsmem -b | grep online'
tool getconf "getconf: CPUs" '^1$' 'getconf _NPROCESSORS_ONLN'
tool getconf "getconf: pages" '^16384$' 'getconf _PHYS_PAGES'
tool uptime uptime 'up 0 min.*load average: 0\.' uptime
tool uptime "uptime -p" '^up (0 minutes)?$' 'uptime -p'
tool busybox "busybox uptime" 'up 0 min' 'busybox uptime'
tool w w 'up 0 min' 'w | head -n 1'
tool ps "ps -o lstart: init's age in s" '^-?[0-9]$|^[1-5][0-9]$' 'echo $(($(date +%s) - $(date -d "$(ps -o lstart= -p 1)" +%s)))'
# The youngest process is not younger than what /proc/uptime was told last.
tool ps "ps -o etime of new processes" '^00:0[0-9]$' 'for i in 1 2 3 4 5 6 7 8; do ps -o etime= -p $(sh -c "echo \$PPID"); sh -c "ps -o etime= -p \$\$"; done | tr -d " " | sort -u | tail -n 1'
tool ps "ps -p 1" '^init$' 'ps -o comm= -p 1'
tool pstree pstree '^init---sh-' 'pstree -A | head -n 1'
tool python3 "python: os.sysconf" '^1 1 16384$' \
	'python3 -c "import os; print(os.sysconf(\"SC_NPROCESSORS_ONLN\"), os.sysconf(\"SC_NPROCESSORS_CONF\"), os.sysconf(\"SC_PHYS_PAGES\"))"'
tool python3 "python: cpu_count, affinity" '^1 1$' 'python3 -c "import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))"'
tool perl "perl: /proc/uptime" '^[0-9]{1,2}$' 'perl -e "open F, \"/proc/uptime\"; print int((split / /, <F>)[0]), \"\n\""'
tool node "node: CPUs, memory" '^1 64 ' 'node -e "const o = require(\"os\"); console.log(o.cpus().length, o.totalmem() / 1048576, \"of it free: \" + o.freemem())"'
tool node "node: parallelism, uptime" '^1 [0-9]{1,2}$' 'node -e "const o = require(\"os\"); console.log(o.availableParallelism(), Math.floor(o.uptime()))"'
tool java "java: CPUs, most memory" '^1 (29|3[0-2])$' 'java -Xshare:auto -cp . Sees machine'
# Where /proc has controllers of version 1 Java looks for them alone; what it goes by is the line above.
tool java "java -XshowSettings:system" '(Effective CPU Count: 1 .*Memory Limit: 64.00M)|No metrics available' \
	'java -XshowSettings:system -version 2>&1 | sed -n "/^Operating/,/^openjdk/p" | grep -v ^openjdk | tr "\n" " "'
tool java "java: its memory bean" '^64$' 'java -Xshare:auto -cp . Sees bean'
cat >"$tmp/Sees.java" <<-'EOF'
	import java.net.*;
	import java.util.*;
	class Sees {
		public static void main(String[] a) throws Exception {
			switch (a[0]) {
			case "machine":
				System.out.println(Runtime.getRuntime().availableProcessors() + " " + Runtime.getRuntime().maxMemory() / 1048576);
				break;
			case "bean":
				System.out.println(((com.sun.management.OperatingSystemMXBean)
					java.lang.management.ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize() / 1048576);
				break;
			default:
				for (NetworkInterface i : Collections.list(NetworkInterface.getNetworkInterfaces()))
					for (InetAddress x : Collections.list(i.getInetAddresses()))
						System.out.println(i.getName() + " " + x.getHostAddress().replaceAll("%.*", "").replaceAll("(:0)+:", "::"));
			}
		}
	}
EOF
! command -v javac >/dev/null || javac -d "$tmp" "$tmp/Sees.java" || fail "javac"
[ ! -e "$tmp/Sees.class" ] || cp "$tmp/Sees.class" "$t"

leftovers_before
inside guest --memory 64M --cpus 1 --cpuset 0
outside
printf '#\n# %-30s | %-52s | %s\n' "" "in a guest with --memory 64M --cpus 1 --cpuset 0" outside
i=0
while [ $i -lt $rows ]; do
	i=$((i + 1))
	name=$(cat "$t/$i.name")
	like "$name" "$(cat "$t/$i.guest")" "$(cat "$t/$i.pattern")"
	row "$name" guest
done

# --- interfaces and addresses ------------------------------------------------

# Every address that a tool prints, without those that all have; lo is everybody's.
new_table
own='grep -oE "10\.1\.2\.[0-9]+|2001:db8:[0-9a-f:]+" | grep -v 255 | sort -u'
names='grep -oE "(host|peer|veth|eth|dummy|secret|vr)[0-9]+" | sort -u'
both="OWN4 OWN6"
tool ip "ip addr" "$both" "ip addr | $own"
tool ip "ip -o link: names" host0 "ip -o link | $names"
tool ip "ip -6 addr" OWN6 "ip -6 addr | $own"
tool ip "ip route: sources" OWN4 "ip route | grep -o 'src [0-9.]*' | $own"
tool ip "ip route show table local" OWN4 "ip route show table local | grep '^local 10' | cut -d ' ' -f 2 | $own"
tool ifconfig "ifconfig -a" "$both" "ifconfig -a | $own"
tool ifconfig "ifconfig -a: names" host0 "ifconfig -a | $names"
tool busybox "busybox ifconfig -a" OWN4 "busybox ifconfig -a | grep -o 'addr:[0-9.]*' | $own"
tool hostname "hostname -I" "$both" "hostname -I | $own"
tool sh "C: getifaddrs, SIOCGIFCONF" OWN4 "sock names | $own"
tool sh "C: if_nameindex" host0 "sock names | $names"
tool python3 "python: if_nameindex" host0 "python3 -c 'import socket; print(socket.if_nameindex())' | $names"
tool python3 "python: SIOCGIFADDR" OWN4 "python3 -c '
import fcntl, socket, struct
for _, name in socket.if_nameindex():
	try: print(socket.inet_ntoa(fcntl.ioctl(socket.socket(), 0x8915, struct.pack(\"256s\", name.encode()))[20:24]))
	except OSError: pass' | $own"
tool java "java: NetworkInterface" "$both" "java -Xshare:auto -cp . Sees net | $own"
tool node "node: networkInterfaces" "$both" "node -e 'console.log(require(\"os\").networkInterfaces())' | $own"
tool sh "/proc/net/if_inet6" OWNHEX "grep -o '^20010db8[0-9a-f]*' /proc/net/if_inet6 | sort -u"
tool sh "/proc/net/fib_trie" OWN4 "grep -B 1 '/32 host LOCAL' /proc/net/fib_trie | $own"
tool sh "/proc/net/dev: names" host0 "cat /proc/net/dev | $names"
# The outside's /sys is of the network that it was mounted in.
tool sh "/sys/class/net: names" host0 "ls /sys/class/net | $names"
[ ! -e "$tmp/Sees.class" ] || cp "$tmp/Sees.class" "$t"

inside a --ip 10.1.2.3/24 --ip 2001:db8::3/64 &
inside b --ip 10.1.2.5/24 --ip 2001:db8::5/64 --userns no
wait $!
outside
printf '#\n# %-30s | %-52s | %s\n' "" "in a guest with 10.1.2.3 2001:db8::3" outside
i=0
while [ $i -lt $rows ]; do
	i=$((i + 1))
	name=$(cat "$t/$i.name")
	for g in a:3 b:5; do
		end=${g#*:}
		is "$name in guest ${g%:*}: its own alone" "$(tr '\n' ' ' <"$t/$i.${g%:*}")" \
			"$(sed "s/OWN4/10.1.2.$end/; s/OWN6/2001:db8::$end/; s/OWNHEX/20010db800000000000000000000000$end/" "$t/$i.pattern") "
	done
	row "$name" a
	isnt "(outside it says more)" "$(cat "$t/$i.outside")" "$(cat "$t/$i.a")"
done
leftovers_none "nothing is left behind"

# What people run, in two guests and on the host at once, all on wildcards: each client gets its own server.
# second-kernel: no
HOST_ADDRS="10.1.2.1/24 10.1.2.3/24 10.1.2.4/24 10.1.2.5/24 10.1.2.6/24 2001:db8::1/64 2001:db8::3/64 2001:db8::4/64 2001:db8::5/64 2001:db8::6/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
need tool:python3
A="--ip 10.1.2.3 --ip 10.1.2.4 --ip 2001:db8::3 --ip 2001:db8::4"
B="--ip 10.1.2.5 --ip 10.1.2.6 --ip 2001:db8::5 --ip 2001:db8::6"
own_h="10.1.2.1 2001:db8::1"
own_a="10.1.2.3 10.1.2.4 2001:db8::3 2001:db8::4"
own_b="10.1.2.5 10.1.2.6 2001:db8::5 2001:db8::6"
PATH=$PATH:/usr/sbin:$HOME/.cargo/bin
missing() { skip "no $1"; return 1; }
real() { command -v "$1" >/dev/null || missing "$1"; }

# --- one directory a place, with all that its servers need -------------------

chmod 711 "$tmp"
mkdir "$tmp/h"
cp "$top"/tests/servers/* "$tmp/h"
! real javac || javac -d "$tmp/h" "$tmp/h/Serve.java" >"$tmp/javac" 2>&1 || { cat "$tmp/javac"; fail "javac"; }
! real rustc || rustc -o "$tmp/h/serve-rs" "$tmp/h/serve.rs" >"$tmp/rustc" 2>&1 || missing "working rustc"
for f in host_key key; do ! real ssh-keygen || ssh-keygen -q -t ed25519 -N '' -f "$tmp/h/$f"; done
pg=$(find /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)
pg=${pg%/initdb}
as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
if [ -n "$pg" ]; then
	echo "$pg" >"$tmp/h/pg.bin"
	mkdir -m 700 "$tmp/h/pg" && chown postgres:postgres "$tmp/h/pg"
	ok "(PostgreSQL's directory)" as_postgres "$pg/initdb" -D "$tmp/h/pg" --locale=C -E UTF8 --no-sync -A trust
	printf 'host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n' >>"$tmp/h/pg/pg_hba.conf"
else
	missing PostgreSQL
fi
cp -a "$tmp/h" "$tmp/a"
cp -a "$tmp/h" "$tmp/b"
# Whoever logs in is root, with no password to be locked and a shell that has no profile.
sed 's/^root:.*/root:*:0:0:root:\/tmp:\/bin\/sh/' /etc/passwd >"$tmp/passwd"
D=$tmp/d
mkdir -p "$D/usr" "$D/etc" "$D/proc" "$D/sys" "$D/dev" "$D/tmp" "$D/run" "$D/mnt" "$D/var/log"
for d in bin sbin lib lib64; do [ ! -e "/$d" ] || ln -s "usr/$d" "$D/$d"; done
for f in /etc/group /etc/nsswitch.conf /etc/ld.so.* /etc/alternatives /etc/java* /etc/protocols /etc/services; do
	[ ! -e "$f" ] || cp -a "$f" "$D/etc"
done
cp "$tmp/passwd" "$D/etc/passwd"
: >"$D/var/log/lastlog"
echo "root:*:19000:0:99999:7:::" >"$D/etc/shadow"

# host_side: on the host, in a pid namespace so that all of it ends with one process
host_side() {
	unshare --mount --pid --fork --kill-child --mount-proc sh -c "mount -t tmpfs -o mode=755 run /run &&
		mount --bind '$tmp/passwd' /etc/passwd && exec sh '$tmp/h/start' HOST '$tmp/h' 7100" >"$tmp/h.log" 2>&1 </dev/null &
	host_side=$!
	at_exit "kill -KILL $host_side 2>/dev/null"
}
# shellcheck disable=SC2086
guest_a() {
	"$VRUN" -q --name a$$ --root "$D" --bind /usr --bind "$tmp/a:/mnt:idmap" $A "$@" -- sh /mnt/start A /mnt 7000 >"$tmp/a.log" 2>&1 </dev/null &
}
# shellcheck disable=SC2086
guest_b() {
	"$VRUN" -q --name b$$ --bind "$tmp/passwd:/etc/passwd" --bind "$tmp/b:/mnt" $B "$@" -- sh /mnt/start B /mnt 7000 >"$tmp/b.log" 2>&1 </dev/null &
}
started() {
	for s in java node rust python; do
		[ ! -e "$tmp/$1/$s.log" ] || grep -q 'is ready' "$tmp/$1/$s.log" || return 1
	done
	[ ! -e "$tmp/$1/pg.log" ] || grep -q 'ready to accept' "$tmp/$1/pg.log" || return 1
	[ -e "$tmp/$1/listen.log" ]
}
up() {
	wait_for 60 started "$1" || { fail "$1: its servers start"; tail -n 5 "$tmp/$1.log" "$tmp/$1"/*.log | _diag; }
}

# --- who answers where -------------------------------------------------------

expected() {
	for address in $own_h; do echo "HOST $address"; done
	for address in $own_a; do echo "A $address"; done
	for address in $own_b; do echo "B $address"; done
}
each() { for address in $own_h $own_a $own_b; do "$@"; done; }
ask() { python3 "$tmp/h/ask.py"; }
# ask_all NAME KIND PORT [EXCEPT]: addresses with EXCEPT in them are left out
ask_all() {
	is "$1, on each address" "$(echo "$2 $3 $(expected | grep -v "${4-none}" | cut -d ' ' -f 2 | tr '\n' ' ')" | ask)" \
		"$2 $3 $(expected | grep -v "${4-none}" | tr '\n' ' ' | sed 's/ $//')"
}
# A server that doesn't look where a datagram came to answers from the first address, here as anywhere.
ask_udp() {
	is "$1, on each first address" "$(echo "udp $2 10.1.2.3 2001:db8::3 10.1.2.5 2001:db8::5" | ask)" \
		"udp $2 A 10.1.2.3 A 2001:db8::3 B 10.1.2.5 B 2001:db8::5"
}
by_psql() {
	psql -qtAX -F' ' -U postgres -h "$address" -c "select current_setting('cluster_name'), host(inet_server_addr())" 2>&1
}
# shellcheck disable=SC2016
ssh_to() {
	ssh -n -F none -i "$tmp/h/key" -o BatchMode=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR "$@"
}
by_ssh() { ssh_to "root@$address" 'echo "$WHO ${SSH_CONNECTION#* * }"' 2>&1 | sed 's/ 22$//'; }
by_redis() { redis-cli -h "$address" get who; }

ask_everybody() {
	! real nginx || ask_all "nginx: listen 80, listen [::]:80" http 80
	ask_all "Python: asyncio's default" tcp 7031
	ask_all "Python: create_server, dual stack" tcp 7032
	if [ -e "$tmp/h/Serve.class" ]; then
		ask_all "Java: ServerSocket" tcp 7001
		ask_all "Java: HttpServer" http 7002
		ask_udp "Java: DatagramSocket" 7003
	fi
	if real node; then
		ask_all "Node: http" http 7011
		ask_all "Node: net" tcp 7012
		ask_udp "Node: dgram, udp6" 7013
	fi
	if [ -x "$tmp/h/serve-rs" ]; then
		ask_all "Rust: TcpListener on [::]" tcp 7021
		ask_all "Rust: TcpListener on 0.0.0.0" tcp 7022 :
		ask_udp "Rust: UdpSocket on [::]" 7023
	fi
	if real redis-server; then
		for x in 1:HOST 3:A 5:B; do redis-cli -h "10.1.2.${x%:*}" set who "${x#*:}" >/dev/null; done
		is "redis, on each address" "$(each by_redis | tr '\n' ' ')" "$(expected | awk '{ printf "%s ", $1 }')"
	fi
	[ -z "$pg" ] || is "PostgreSQL: psql from outside, on each address" "$(each by_psql)" "$(expected)"
	! real sshd || is "sshd: a login with a key, on each address" "$(each by_ssh)" "$(expected)"
}

host_side
up h
guest_a
guest_b --hide mount,proc $abstract
up a
up b
ask_everybody

# --- between guests, and within ----------------------------------------------

is "from guest to guest: the other's servers" "$("$VRUN" --enter b$$ -- sh -c \
	'echo tcp 7031 10.1.2.3 2001:db8::4 10.1.2.6 2001:db8::1 | python3 /mnt/ask.py')" "tcp 7031 A 10.1.2.3 A 2001:db8::4 B 10.1.2.6 HOST 2001:db8::1"
is "a guest's 127.0.0.1 and ::1: its own" "$(for g in a b; do
	"$VRUN" --enter $g$$ -- sh -c 'printf "%s\n" "tcp 7031 127.0.0.1 ::1" "tcp 7032 127.0.0.1 ::1" | python3 /mnt/ask.py'; done)" \
	"tcp 7031 A 127.0.0.1 A ::1
tcp 7032 A 127.0.0.1 A ::1
tcp 7031 B 127.0.0.1 B ::1
tcp 7032 B 127.0.0.1 B ::1"
if real sshd; then
	# shellcheck disable=SC2016
	is "ssh from guest to guest: the peer is the guest's address" "$("$VRUN" --enter b$$ -- ssh -n -F none -i /mnt/key -o BatchMode=yes \
		-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR root@10.1.2.4 'echo $WHO ${SSH_CONNECTION%% *}' 2>&1)" "A 10.1.2.5"
	like "a terminal over ssh is the guest's own" "$(ssh_to -tt root@10.1.2.3 'tty; echo $WHO' 2>&1 | tr -d '\r' | tr '\n' ' ')" '^/dev/pts/[0-9]+ A $'
	is "and files go through it" "$(head -c 100000 /dev/zero | ssh -F none -i "$tmp/h/key" -o BatchMode=yes -o UserKnownHostsFile=/dev/null \
		-o StrictHostKeyChecking=no -o LogLevel=ERROR root@2001:db8::3 'cat >/tmp/f; wc -c </tmp/f' 2>&1)" 100000
fi
if [ -n "$pg" ]; then
	for x in a:10.1.2.3 b:10.1.2.6; do
		g=${x%:*}
		ok "PostgreSQL in $g: pgbench makes its tables" "$pg/pgbench" -q -i -I dtGvp -s 1 -U postgres -h "${x#*:}" postgres
		ok "PostgreSQL in $g: pgbench runs" "$pg/pgbench" -n -c 2 -t "${VRUN_LONG:+10}50" -U postgres -h "${x#*:}" postgres
		like "and fails in none" "$out" 'failed transactions: 0 '
		printf '%s\n' "$out" | sed -n 's/^tps/# tps/p'
		like "PostgreSQL in $g: parallel workers share POSIX memory" "$(psql -qtAX -U postgres -h "${x#*:}" -c 'set force_parallel_mode = on' \
			-c 'set parallel_setup_cost = 0' -c 'explain (analyze, costs off) select count(*) from pgbench_accounts' 2>&1)" 'Workers Launched: [1-9]'
		is "PostgreSQL in $g: its SysV segment is the guest's own" "$("$VRUN" --enter $g$$ -- ipcs -m | grep -c postgres)" 1
	done
fi

# --- the other way round -----------------------------------------------------

if [ -n "${VRUN_LONG-}" ]; then
	"$VRUN" --kill a$$
	"$VRUN" --kill b$$
	rm -f "$tmp"/[ab]/*.log "$tmp"/[ab]/pg/postmaster.pid
	guest_a --hide mount,proc --userns no $abstract
	guest_b
	up a
	up b
	ask_everybody
fi
"$VRUN" --kill a$$
"$VRUN" --kill b$$
kill -KILL $host_side                   # unshare --fork ignores TERM
wait

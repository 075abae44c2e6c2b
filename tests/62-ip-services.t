# Several guests and the host serve the same ports at once, each on its own addresses.
HOST_ADDRS="10.1.2.1/24 10.1.2.3/24 10.1.2.4/24 10.1.2.5/24 10.1.2.6/24 2001:db8::1/64 2001:db8::3/64 2001:db8::4/64 2001:db8::5/64 2001:db8::6/64"
export HOST_ADDRS
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/net.sh
. "$top/tests/net.sh"
A="--ip 10.1.2.3 --ip 10.1.2.4 --ip 2001:db8::3 --ip 2001:db8::4"
B="--ip 10.1.2.5 --ip 10.1.2.6 --ip 2001:db8::5 --ip 2001:db8::6"
all="tcp4:0.0.0.0:80 v6only:[::]:80 tcp6:[::]:81 v6only:[::]:82 tcp4:127.0.0.1:83 tcp6:[::1]:83 tcp4:0.0.0.0:84 udp4:127.0.0.1:85 udp6:[::1]:85 udp4:0.0.0.0:86 udp6:[::]:87 udp4:0.0.0.0:88"

serve_host "$tmp/h" 1000 tcp4:0.0.0.0:80 'v6only:[::]:80' 'tcp6:[::]:81' udp4:0.0.0.0:89 'udp6:[::]:91'
host_server=$!
# shellcheck disable=SC2086
{
	serve_guest "$tmp/a" 1000 A --name a$$ --userns yes $A -- $all
	serve_guest "$tmp/b" 1000 B --name b$$ --userns no $B -- $all
}
for g in a b; do
	unlike "guest $g could listen on all of it" "$(cat "$tmp/$g")" ' E[A-Z]+ '
	is "guest $g: getsockname is what was asked for" "$(awk '$2 == "ok" { n = split($1, p, ":"); $1 = substr($1, length(p[1]) + 2)
		if ($1 != $3) print }' "$tmp/$g")" ""
done
for port in 80 81 82 84; do
	for end in 1 3 4 5 6; do
		case $end in 3 | 4) who=A ;; 5 | 6) who=B ;; *) who=HOST ;; esac
		if [ $port != 82 ]; then
			w=$who
			case $port$who in 84HOST) w=ECONNREFUSED ;; esac
			is "10.1.2.$end:$port is $w's" "$(ask tcp "10.1.2.$end:$port" | cut -d' ' -f1)" "$w"
		fi
		if [ $port != 84 ]; then
			w=$who
			case $port$who in 82HOST) w=ECONNREFUSED ;; esac
			is "[2001:db8::$end]:$port is $w's" "$(ask tcp "[2001:db8::$end]:$port" | cut -d' ' -f1)" "$w"
		fi
	done
done
for end in 3 4 5 6; do
	case $end in 3 | 4) who=A ;; *) who=B ;; esac
	is "UDP, 10.1.2.$end:86 is $who's" "$(ask udp "10.1.2.$end:86" | cut -d' ' -f1)" $who
	is "UDP, 10.1.2.$end:87 is $who's" "$(ask udp "10.1.2.$end:87" | cut -d' ' -f1)" $who
	is "UDP, [2001:db8::$end]:87 is $who's" "$(ask udp "[2001:db8::$end]:87" | cut -d' ' -f1)" $who
done
is "a UDP port that the host has by wildcard is the host's: a guest's answers would come from another port" \
	"$("$VRUN" --enter a$$ -- net udp4 bind 0.0.0.0:89 udp4 bind 10.1.2.3:89 udp6 bind '[::]:91' udp6 bind '[2001:db8::3]:91')" \
	"ok EADDRINUSE ok EADDRINUSE ok EADDRINUSE ok EADDRINUSE "
is "(and serves there)" "$(ask udp 10.1.2.1:89 | cut -d' ' -f1)" HOST
is "127.0.0.1:80 is the host's" "$(ask tcp 127.0.0.1:80 | cut -d' ' -f1)" HOST
is "[::1]:81 is the host's" "$(ask tcp '[::1]:81' | cut -d' ' -f1)" HOST
is "the host has nobody on 127.0.0.1:83" "$(ask tcp 127.0.0.1:83)" ECONNREFUSED
is "accept tells the address that was asked" "$(ask tcp 10.1.2.6:80 | cut -d' ' -f3)" 10.1.2.6:80
is "for dual stack the mapped one" "$(ask tcp 10.1.2.6:81 | cut -d' ' -f3)" "[::ffff:10.1.2.6]:81"
for g in a b; do
	t=$(echo $g | tr ab AB)
	is "guest $g: its loopbacks are its own" "$(for q in "tcp 127.0.0.1:83" "tcp [::1]:83" "udp 127.0.0.1:85" "udp [::1]:85" \
		"udp 127.0.0.1:86" "udp [::1]:87" "udp 127.0.0.1:88" "tcp 127.0.0.1:80" "tcp [::1]:80" "tcp 127.0.0.1:81" "tcp [::1]:81"; do
		# shellcheck disable=SC2086
		"$VRUN" --enter $g$$ -- net ask $q | cut -d' ' -f1,4 | sed 's/:[0-9]*$//'
	done | tr '\n' ' ')" "$t 127.0.0.1 $t [::1] $t 127.0.0.1 $t [::1] $t 127.0.0.1 $t [::1] $t 127.0.0.1 $t 127.0.0.1 $t [::1] $t [::ffff:127.0.0.1] $t [::1] "
done

# The first to come loaded the programs; it goes, the others stay.
name=$("$net" bpf-name | tr -d ' ')
n=$("$net" bpf "$name")
like "eighteen programs serve all guests" "$n" '^18 6 1'
"$VRUN" --kill a$$
wait_for 10 sh -c "! '$VRUN' -q --list | grep -qx a$$"
is "with the first guest gone, the second's addresses are served" "$(ask tcp 10.1.2.6:81 | cut -d' ' -f1) \
$(ask tcp '[2001:db8::6]:80' | cut -d' ' -f1)" "B B"
is "the first's are the host's" "$(ask tcp 10.1.2.4:81 | cut -d' ' -f1) $(ask tcp '[2001:db8::4]:80' | cut -d' ' -f1)" "HOST HOST"
# shellcheck disable=SC2086
serve_guest "$tmp/c" 1000 C --name c$$ $A -- $all
unlike "a third one could listen on all of it" "$(cat "$tmp/c")" ' E[A-Z]+ '
is "it shares what is loaded" "$("$net" bpf "$name")" "$n"
is "and serves" "$(ask tcp 10.1.2.4:81 | cut -d' ' -f1) $(ask tcp '[2001:db8::4]:80' | cut -d' ' -f1)" "C C"
kill $host_server
wait_for 5 sh -c "[ \"\$('$net' ask tcp 10.1.2.1:80)\" = 'ECONNREFUSED ' ]"
is "without the host's server they go on" "$(ask tcp 10.1.2.4:80 | cut -d' ' -f1) $(ask tcp 10.1.2.5:81 | cut -d' ' -f1)" "C B"
"$VRUN" --kill b$$
"$VRUN" --kill c$$
wait

# --- starts at once ----------------------------------------------------------

i=0
while [ $i -lt 6 ]; do
	guest --name "r$i-$$" --ip 10.1.2.3 --ip 2001:db8::3 -- net tcp4 bind 10.1.2.4:0 bind 10.1.2.3:0 >"$tmp/r$i" 2>&1 &
	i=$((i + 1))
done
wait
is "six starts at once, none is loaded before: each is right" "$(sort -u "$tmp"/r[0-5])" "ok EADDRNOTAVAIL ok "
wait_for 10 sh -c "[ \"\$('$net' bpf $name)\" = '0 0 0 ' ]"
is "nothing is left of them" "$("$net" bpf "$name")" "0 0 0 "

# --- what people run ---------------------------------------------------------

# real PROGRAM: skips where it isn't installed
real() { command -v "$1" >/dev/null || { skip "no $1"; return 1; }; }
native() { "$VRUN" -q $abstract "$@"; }
if real nginx; then
	for g in A B; do
		mkdir -p "$tmp/ng$g"
		cat >"$tmp/ng$g/nginx.conf" <<-EOF
			daemon off; pid /tmp/nginx.pid; error_log stderr; user root;
			events { }
			http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
			uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
			server { listen 80; listen [::]:80; location / { return 200 "$g \$server_addr \$remote_addr"; } } }
		EOF
	done
	# shellcheck disable=SC2086
	{
		native --name nga$$ --bind "$tmp/ngA:/mnt:ro" $A -- nginx -c /mnt/nginx.conf >"$tmp/nga" 2>&1 &
		native --name ngb$$ --bind "$tmp/ngB:/mnt:ro" $B -- nginx -c /mnt/nginx.conf >"$tmp/ngb" 2>&1 &
	}
	get() { printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 20 "$1" 80 2>/dev/null | tail -n 1; }
	wait_for 10 sh -c "ss -Hltn 'sport = :80' | grep -q 10.1.2.3"
	wait_for 10 sh -c "ss -Hltn 'sport = :80' | grep -q 10.1.2.5"
	answers() { [ -n "$(get "$1")" ]; }
	if real nc; then
		# it listens on one after the other
		for a in 10.1.2.3 2001:db8::3 10.1.2.5 2001:db8::6; do wait_for 10 answers $a; done
		is "two nginx with listen 80 and listen [::]:80" "$(get 10.1.2.3) $(get 10.1.2.4) $(get 10.1.2.5) $(get 2001:db8::6) $(get 2001:db8::3)" \
			"A 10.1.2.3 10.1.2.1 A 10.1.2.4 10.1.2.1 B 10.1.2.5 10.1.2.1 B 2001:db8::6 2001:db8::6 A 2001:db8::3 2001:db8::3"
	fi
	"$VRUN" --kill nga$$
	"$VRUN" --kill ngb$$
	wait
fi
if real redis-server; then
	# shellcheck disable=SC2086
	for g in A B; do
		list=$A
		[ $g = A ] || list=$B
		native --name "redis$g$$" $list -- redis-server --port 6379 --protected-mode no --save "" --dir /tmp >"$tmp/redis$g" 2>&1 &
	done
	for a in 10.1.2.3 10.1.2.5; do wait_for 10 redis-cli -h $a ping; done
	redis-cli -h 10.1.2.3 set who A >/dev/null
	redis-cli -h 10.1.2.5 set who B >/dev/null
	is "two redis with their default bind" "$(redis-cli -h 10.1.2.4 get who) $(redis-cli -h 2001:db8::6 get who) $(redis-cli -h 10.1.2.6 get who)" "A B B"
	is "and their clients on 127.0.0.1" "$("$VRUN" --enter redisA$$ -- redis-cli get who) $("$VRUN" --enter redisB$$ -- redis-cli get who)" "A B"
	"$VRUN" --kill redisA$$
	"$VRUN" --kill redisB$$
	wait
fi

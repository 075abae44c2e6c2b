/* SPDX-License-Identifier: ISC */
/*
 * What traffic costs in a guest, beside outside of it.
 *
 *	traffic serve ADDR...		servers on these addresses; then one question a line on stdin: OP MS ADDR, which it
 *					does for so long as a client; the answer is how often, and in how many seconds
 *	traffic in CGROUP [hooks] COMMAND...	COMMAND in this cgroup2 directory; hooks: with a program on every packet in and
 *					out that does nothing but to allow it
 *	traffic ask cpu|time ROUNDS MS NAME OWN PEER COMMAND ...	(a `;` ends each COMMAND) starts every COMMAND, which
 *					is the above somewhere, and asks all of them everything, interleaved
 *
 * The first place is the other end of all, outside; ratios are to the second. OWN is where a place serves, PEER where
 * its clients find the first; `-` for a place that has no network. A ratio is of the same round and the same question;
 * what is printed is their median and quartiles. cpu: a rate is a second of CPU time, that of all processes at both
 * ends, a guest's supervisor and broker among them; who else uses the machine has little say in it. Every place is a
 * session of its own, since to the scheduler a session is a group (autogroup, sched(7)), and a guest is one always.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/bpf.h>

enum { ECHO_PORT = 7007, SINK_PORT = 7009, CLOSE_PORT = 7013, BLOCK = 65536 };
static char block[BLOCK];

static int must(long r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "traffic: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return (int)r;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in at(const char *address, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, address, &a.sin_addr);
	return a;
}

/* ---- servers: a process each, one client at a time ---- */

static int bound(const char *address, int type, int port)
{
	struct sockaddr_in a = at(address, port);
	/* Inherited by what accept() returns: closed by RST, so that no port waits two minutes. */
	struct linger at_once = { .l_onoff = 1 };
	int fd = must(socket(AF_INET, type, 0), "socket"), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (port == CLOSE_PORT)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	must(bind(fd, (void *)&a, sizeof(a)), address);
	if (type == SOCK_STREAM)
		must(listen(fd, 128), "listen");
	return fd;
}

static void serve_stream(int fd, int port)
{
	for (;;) {
		int c = must(accept(fd, NULL, NULL), "accept");
		ssize_t n;

		while (port != CLOSE_PORT && (n = read(c, block, sizeof(block))) > 0)
			if (port == ECHO_PORT && write(c, block, (size_t)n) != n)
				break;
		close(c);
	}
}

static void serve_datagrams(int fd, int port)
{
	struct sockaddr_in from;

	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, block, sizeof(block), 0, (void *)&from, &len);

		if (n > 0 && (port == ECHO_PORT || *block))
			sendto(fd, block, (size_t)n, 0, (void *)&from, len);
	}
}

static void serve(const char *address)
{
	static const struct { int type, port; } service[] = {
		{ SOCK_STREAM, ECHO_PORT }, { SOCK_STREAM, SINK_PORT }, { SOCK_STREAM, CLOSE_PORT },
		{ SOCK_DGRAM, ECHO_PORT }, { SOCK_DGRAM, SINK_PORT },
	};

	for (size_t i = 0; i < sizeof(service) / sizeof(service[0]); i++) {
		int fd = bound(address, service[i].type, service[i].port);

		if (must(fork(), "fork") == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			(service[i].type == SOCK_STREAM ? serve_stream : serve_datagrams)(fd, service[i].port);
		}
		close(fd);
	}
}

/* ---- clients: each makes one operation; the first call, with done 0, prepares ---- */

static int sock = -1;

static void connected(const char *address, int type, int port)
{
	struct sockaddr_in a = at(address, port);
	int one = 1;

	sock = must(socket(AF_INET, type, 0), "socket");
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* The server may be gone already: that was a connection, too. */
	if (connect(sock, (void *)&a, sizeof(a)) < 0 && !(port == CLOSE_PORT && errno == ECONNRESET))
		must(-1, address);
}

static void tcp_rr(const char *address, long done)
{
	if (!done)
		connected(address, SOCK_STREAM, ECHO_PORT);
	must(write(sock, block, 1), "write");
	must(read(sock, block, 1), "read");
}

static void tcp_stream(const char *address, long done)
{
	if (!done)
		connected(address, SOCK_STREAM, SINK_PORT);
	must(write(sock, block, sizeof(block)), "write");
}

/* Waits for the other side to have accepted, so that no queue overflows. */
static void tcp_connect(const char *address, long done)
{
	(void)done;
	connected(address, SOCK_STREAM, CLOSE_PORT);
	if (read(sock, block, 1) > 0)
		exit(1);
	close(sock);
	sock = -1;
}

static void datagram(const char *address, int port, long done, int wants_reply)
{
	struct sockaddr_in a = at(address, port);
	struct timeval patience = { .tv_sec = 2 };

	if (!done) {
		sock = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	}
	*block = (char)wants_reply;
	must(sendto(sock, block, 64, 0, (void *)&a, sizeof(a)), "sendto");
	if (wants_reply)
		must(recv(sock, block, sizeof(block), 0), "recv");
}

static void udp_rr(const char *address, long done) { datagram(address, ECHO_PORT, done, 1); }
/* None is lost, so that each costs its sending and its receiving. */
static void udp_send(const char *address, long done) { datagram(address, SINK_PORT, done, done % 32 == 31); }

static void socket_close(const char *address, long done)
{
	(void)address, (void)done;
	close(must(socket(AF_INET, SOCK_STREAM, 0), "socket"));
}

static void meminfo(const char *address, long done)
{
	const char *path = getenv("MEMINFO");
	int fd = must(open(path ? path : "/proc/meminfo", O_RDONLY), "meminfo");

	(void)address, (void)done;
	must(read(fd, block, sizeof(block)), "read meminfo");
	close(fd);
}

static void call_sysinfo(const char *address, long done)
{
	struct sysinfo s;

	(void)address, (void)done;
	must(sysinfo(&s), "sysinfo");
}

/* in: the client is outside, and the place serves. */
static const struct question { const char *op, *name; void (*once)(const char *, long); int local, in; } questions[] = {
	{ "tcp_rr", "TCP_RR, 1 byte", tcp_rr, 0, 0 },
	{ "tcp_stream", "TCP stream, 64 KB writes", tcp_stream, 0, 0 },
	{ "connect", "accepted connections", tcp_connect, 0, 1 },
	{ "connect", "outgoing connect+close", tcp_connect, 0, 0 },
	{ "udp_rr", "UDP_RR, 64 bytes", udp_rr, 0, 0 },
	{ "udp_send", "UDP, 64 bytes, 32 a reply", udp_send, 0, 0 },
	{ "socket", "socket+close, TCP", socket_close, 0, 0 },
	{ "meminfo", "open+read+close /proc/meminfo", meminfo, 1, 0 },
	{ "sysinfo", "sysinfo(2)", call_sysinfo, 1, 0 },
};
enum { N_QUESTIONS = sizeof(questions) / sizeof(questions[0]) };

static void answer(const char *op, int ms, const char *address)
{
	size_t q = 0;
	double start, end;
	long done = 0;

	while (q < N_QUESTIONS && strcmp(questions[q].op, op))
		q++;
	if (q == N_QUESTIONS)
		exit(2);
	start = now();
	do {
		for (int i = 0; i < 8; i++, done++)
			questions[q].once(address, done);
		end = now();
	} while (end - start < ms / 1e3);
	if (sock >= 0)
		close(sock);
	sock = -1;
	printf("%ld %.9f\n", done, end - start);
	fflush(stdout);
}

static int worker(int n, char **address)
{
	char line[128], op[32], to[64];
	int ms;

	for (int i = 0; i < n; i++)
		if (strcmp(address[i], "-"))
			serve(address[i]);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		if (sscanf(line, "%31s %d %63s", op, &ms, to) == 3)
			answer(op, ms, to);
	return 0;
}

/* ---- what the kernel takes, whatever vrun does ---- */

static int bpf(int cmd, union bpf_attr *a) { return (int)syscall(SYS_bpf, cmd, a, sizeof(*a)); }

static void hook(int cgroup_fd, enum bpf_attach_type type)
{
	const struct bpf_insn allow[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 }, { .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_SKB, .expected_attach_type = type, .insn_cnt = 2,
				.insns = (uintptr_t)allow, .license = (uintptr_t)"" };
	union bpf_attr attach = { .target_fd = (uint32_t)cgroup_fd, .attach_type = type, .attach_flags = BPF_F_ALLOW_MULTI };

	attach.attach_bpf_fd = (uint32_t)must(bpf(BPF_PROG_LOAD, &load), "load an empty program");
	must(bpf(BPF_PROG_ATTACH, &attach), "attach an empty program");
}

static void in_cgroup(const char *cgroup, char **command)
{
	int dir = must(open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), cgroup);
	int procs = must(openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC), cgroup);

	if (!strcmp(*command, "hooks")) {
		hook(dir, BPF_CGROUP_INET_INGRESS);
		hook(dir, BPF_CGROUP_INET_EGRESS);
		command++;
	}
	must(write(procs, "0", 1), cgroup);
	execv(*command, command);
	must(-1, *command);
}

/* ---- who asks ---- */

enum { MAX_PLACES = 12, MAX_ROUNDS = 1000 };
static struct place {
	const char *name, *own, *peer;
	FILE *to, *from;
	pid_t pid;
	double rate[N_QUESTIONS][MAX_ROUNDS], ratio[N_QUESTIONS][MAX_ROUNDS];
} places[MAX_PLACES];

static void start(struct place *p, char **argv)
{
	int in[2], out[2];
	char line[64];

	must(pipe2(in, O_CLOEXEC), "pipe");
	must(pipe2(out, O_CLOEXEC), "pipe");
	p->pid = must(fork(), "fork");
	if (p->pid == 0) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		execvp(argv[0], argv);
		must(-1, argv[0]);
	}
	close(in[0]);
	close(out[1]);
	p->to = fdopen(in[1], "w");
	p->from = fdopen(out[0], "r");
	if (!fgets(line, sizeof(line), p->from) || strcmp(line, "ready\n")) {
		fprintf(stderr, "traffic: %s is not ready\n", p->name);
		exit(1);
	}
}

/* Seconds of CPU of a process and all that it has started; each has one thread. */
static double cpu_time(pid_t pid)
{
	char path[64];
	unsigned long long ns = 0;
	double sum;
	FILE *f;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		must(-1, path);
	fclose(f);
	sum = (double)ns / 1e9;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &child) == 1)
		sum += cpu_time(child);
	if (f)
		fclose(f);
	return sum;
}

/* The rate of p's answer; what both ends spend is p's and other's. */
static double ask(struct place *p, const struct place *other, const char *op, int ms, const char *address, int by_cpu)
{
	double seconds = 0, spent = by_cpu ? cpu_time(p->pid) + cpu_time(other->pid) : 0;
	long done = 0;

	fprintf(p->to, "%s %d %s\n", op, ms, address);
	fflush(p->to);
	if (fscanf(p->from, "%ld %lf", &done, &seconds) != 2 || done <= 0) {
		fprintf(stderr, "traffic: no answer from %s to %s\n", p->name, op);
		exit(1);
	}
	return (double)done / (by_cpu ? cpu_time(p->pid) + cpu_time(other->pid) - spent : seconds);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* OPS=connect,socket: these alone. */
static int is_asked(const struct place *p, const struct question *q)
{
	const char *only = getenv("OPS");

	return (q->local || strcmp(p->own, "-")) && (!only || strstr(only, q->op));
}

static void print(int n, int rounds)
{
	printf("%-30s %-26s %10s %8s %6s %6s %6s\n", "", "", "rate/s", "us", "ratio", "25 %", "75 %");
	for (int q = 0; q < N_QUESTIONS; q++)
		for (int i = 1; i < n; i++) {
			struct place *p = &places[i];
			double *r = p->ratio[q];

			if (!is_asked(p, &questions[q]))
				continue;
			qsort(p->rate[q], (size_t)rounds, sizeof(double), by_value);
			qsort(r, (size_t)rounds, sizeof(double), by_value);
			printf("%-30s %-26s %10.0f %8.2f %6.3f %6.3f %6.3f\n", i > 1 ? "" : questions[q].name, p->name,
			       p->rate[q][rounds / 2], 1e6 / p->rate[q][rounds / 2], r[rounds / 2], r[rounds / 4],
			       r[rounds * 3 / 4]);
		}
}

static int asker(int by_cpu, int rounds, int ms, char **argv)
{
	int n = 0;

	for (; argv[0] && n < MAX_PLACES; n++) {
		struct place *p = &places[n];
		char **command = argv + 3;

		p->name = argv[0];
		p->own = argv[1];
		p->peer = argv[2];
		for (argv = command; *argv && strcmp(*argv, ";"); argv++)
			;
		if (*argv)
			*argv++ = NULL;
		start(p, command);
	}
	for (int r = -1; r < rounds; r++)               /* the first one warms up */
		for (int q = 0; q < N_QUESTIONS; q++) {
			const struct question *w = &questions[q];

			for (int k = 0; k < n - 1; k++) {
				struct place *p = &places[1 + (k + r + 1) % (n - 1)];

				if (!is_asked(p, w))
					continue;
				p->rate[q][r < 0 ? 0 : r] = w->in ? ask(&places[0], p, w->op, ms, p->own, by_cpu)
					: ask(p, &places[0], w->op, ms, w->local ? "-" : p->peer, by_cpu);
			}
			for (int k = 1; k < n && r >= 0; k++)
				places[k].ratio[q][r] = places[k].rate[q][r] / places[1].rate[q][r];
		}
	print(n, rounds);
	for (int k = 0; k < n; k++)
		fclose(places[k].to);
	while (wait(NULL) > 0)
		;
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 2 && !strcmp(argv[1], "serve"))
		return worker(argc - 2, argv + 2);
	if (argc > 4 && !strcmp(argv[1], "in"))
		in_cgroup(argv[2], argv + 3);
	if (argc > 5 && !strcmp(argv[1], "ask") && atoi(argv[3]) > 0 && atoi(argv[3]) <= MAX_ROUNDS)
		return asker(!strcmp(argv[2], "cpu"), atoi(argv[3]), atoi(argv[4]), argv + 5);
	fprintf(stderr, "usage: traffic serve ADDR... | traffic in CGROUP [hooks] COMMAND... |\n"
		"       traffic ask cpu|time ROUNDS MS NAME OWN PEER COMMAND... ; ...\n");
	return 2;
}

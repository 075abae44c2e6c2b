/* SPDX-License-Identifier: ISC */
/* The command line: what the table says of itself, values, the two walks, --args-file, cross checks. */
#include <sys/wait.h>

#include "../../opts.c"

/* die() ends the process without freeing: no leak. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static int count, failures;

static void is_true(bool holds, const char *sentence)
{
	printf("%s %d - %s\n", holds ? "ok" : "not ok", ++count, sentence);
	failures += !holds;
}

enum { WORDS_MAX = 64 };

/* "a b c" to argv, with vrun in front; \1 stands for a blank inside a word. */
static int split(char *text, char **argv)
{
	static char self[] = "vrun";
	int argc = 0;

	argv[argc++] = self;
	for (char *word = strtok(text, " "); word && argc < WORDS_MAX - 1; word = strtok(NULL, " ")) {
		for (char *c = word; *c; c++)
			if (*c == '\1')
				*c = ' ';
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return argc;
}

static void parse(struct plan *p, const char *line)
{
	static char text[8][1024];
	static unsigned next;
	char *argv[WORDS_MAX], *own = text[next++ % 8];

	snprintf(own, sizeof(text[0]), "%s", line);
	opts_init(p);
	opts_parse(p, split(own, argv), argv);
	opts_check(p);
}

/* What a command line prints on stderr in a process of its own; its status in *status. */
static const char *outcome(const char *line, int *status)
{
	static char text[4096];
	int out[2], wait_status;
	ssize_t n;
	size_t len = 0;
	struct plan p;
	pid_t pid;

	fflush(stdout);
	if (pipe(out))
		abort();
	pid = fork();
	if (!pid) {
		dup2(out[1], 2);
		close(out[0]);
		close(out[1]);
		parse(&p, line);
		_exit(0);
	}
	close(out[1]);
	while ((n = read(out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(out[0]);
	waitpid(pid, &wait_status, 0);
	*status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
	return text;
}

static void refused(const char *line, const char *part)
{
	int status;
	const char *text = outcome(line, &status), *end = strchr(text, '\n');
	bool holds = status == EXIT_VRUN && strstr(text, part) && end && !end[1];

	is_true(holds, xasprintf("refused, 125, one line with \"%s\": vrun %s", part, line));
	if (!holds)
		printf("# status %d: %s\n", status, text);
}

static void accepted(const char *line)
{
	int status;
	const char *text = outcome(line, &status);

	is_true(status == 0 && !*text, xasprintf("accepted: vrun %s", line));
	if (status || *text)
		printf("# status %d: %s\n", status, text);
}

static void test_table(void)
{
	bool unique = true, values = true, groups = true, own_verb = true, fits = true;

	for (const struct option *o = table; o < table + N_OPTIONS; o++) {
		for (const struct option *other = table; other < o; other++)
			if (!strcmp(o->name, other->name) || (o->letter && o->letter == other->letter))
				unique = false;
		values &= !!o->metavar == !!o->parse;
		values &= !(o->flags & FLAG) || (!o->metavar && o->target);
		groups &= o == table || o->group == o[-1].group || o->group == o[-1].group + 1;
		own_verb &= !!(o->flags & VERB) == (o->group == VERBS);
		fits &= strlen(o->help) <= 51;
	}
	is_true(unique, "no two rows have a name or a letter in common");
	is_true(values, "a row has a metavar if and only if it has a parser, and a flag has a target");
	is_true(groups, "rows of a group stand together, in the groups' order");
	is_true(own_verb, "verbs are the rows of the group of verbs");
	is_true(fits, "help lines fit into 80 columns");
}

static const char *reason(const char *(*parser)(void *, const char *), const char *arg)
{
	struct plan scratch;
	const char *why;

	opts_init(&scratch);
	why = parser(&scratch, arg);
	return why ? why : "";
}

static void test_values(void)
{
	static const struct { const char *name; const char *(*parser)(void *, const char *);
			      const char *good, *bad; } of[] = {
		{ "name", opts_parse_name, "w web 0a a_.-Z", " -a .a a/b a\1b 12 \xc3\xa4 a\n" },
		{ "xid", opts_parse_xid, "2 65534 28672", "0 1 65535 -2 +2 0x10 2\1 99999999999999999999 x" },
		{ "guest", opts_parse_guest, "web 28672 2", "1 65535 a/b -" },
		{ "hostname", opts_parse_hostname, "h a.b.c x-1", "a/b a:b a\1b \x1b" },
		{ "share", opts_parse_share, "pid pid,ipc abstract,uts,cgroup", "net user pid, ,pid pid,,ipc pi PID" },
		{ "join", opts_parse_join, "user=web pid,net=7", "web =web pid= pid,=web pid=a/b abstract=web x=web" },
		{ "userns", opts_parse_userns, "yes no", "y YES 1 yesno" },
		{ "until", opts_parse_until, "command last", "exit com" },
		{ "cgroup", opts_parse_cgroup, "self /a /a/..b /a/b..", "a selfish /.. /a/.. /a/../b ./self" },
		{ "dir", opts_parse_dir, "/ /a", "a ./a" },
		{ "user", opts_parse_user, "root 0 0:0 a:b", ": a: :b a:b:c" },
		{ "groups", opts_parse_groups, "a a,b 0", ", a, ,a a,,b" },
		{ "tty", opts_parse_tty, "auto yes no", "a on" },
		{ "status-fd", opts_parse_status_fd, "1 3", "0 -1 x 2147483648" },
		{ "signal", opts_parse_signal, "TERM SIGTERM 15 RTMIN+3", "0 65 FOO -9 SIG" },
		{ "stop-timeout", opts_parse_stop_timeout, "0 10s 500ms inf", "10x -1 s 1.5s" },
		{ "memory", opts_parse_memory, "64M 1 inf", "0 -1 1.5G 64MB 99999999999T" },
		{ "pids", opts_parse_pids, "1 100 inf", "0 -1 x 4194305" },
		{ "cpu-weight", opts_parse_cpu_weight, "1 10000 inf", "0 10001 x" },
	};
	char text[256];

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		bool good = !!*reason(of[i].parser, ""), bad = true;

		is_true(good, xasprintf("%s: no empty value", of[i].name));
		snprintf(text, sizeof(text), "%s", of[i].good);
		for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
			if (*reason(of[i].parser, word))
				good = false, printf("# refused: %s\n", word);
		snprintf(text, sizeof(text), "%s", of[i].bad);
		for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
			for (char *c = word; *c; c++)
				if (*c == '\1')
					*c = ' ';
			if (!*reason(of[i].parser, word))
				bad = false, printf("# taken: %s\n", word);
		}
		is_true(good, xasprintf("%s: takes %s", of[i].name, of[i].good));
		is_true(bad, xasprintf("%s: refuses what is none", of[i].name));
	}
	memset(text, 'a', 65);
	text[65] = '\0';
	is_true(*reason(opts_parse_name, text) && *reason(opts_parse_hostname, text), "65 characters are too long");
	text[64] = '\0';
	is_true(!*reason(opts_parse_name, text) && !*reason(opts_parse_hostname, text), "64 are not");
}

static void test_walk(void)
{
	struct plan p;

	parse(&p, "--name=web --root /r -m64M --pids 5 -e A=1 --env B -vu 0:0 -- ls -l --name");
	is_true(!strcmp(p.context.name, "web") && !strcmp(p.root.dir, "/r") && p.limits.memory_bytes == 64 << 20 &&
		p.limits.pids == 5 && p.control.verbose && !strcmp(p.rights.user, "0:0"),
		"--opt=VAL, --opt VAL, -mVAL and grouped letters reach their fields");
	is_true(p.rights.env.n == 2 && !strcmp(p.rights.env.v[0], "A=1") && !strcmp(p.rights.env.v[1], "B"),
		"a list keeps its order");
	is_true(p.args.n == 3 && !strcmp(p.args.v[2], "--name") && !p.args.v[3],
		"after -- all is COMMAND's, and the list ends in NULL");
	is_true(opts_given(&p, "memory") && !opts_given(&p, "swap") && !opts_given(&p, "mem"),
		"opts_given knows what was written");
	parse(&p, "ls --name x");
	is_true(!p.context.name && p.args.n == 3, "options stop at the first word that is none");
	parse(&p, "- x");
	is_true(p.args.n == 2 && !strcmp(p.args.v[0], "-"), "a lone dash is such a word");
	parse(&p, "--root /r --");
	is_true(p.args.n == 1 && !strcmp(p.args.v[0], "/bin/sh"), "with --root the default COMMAND is /bin/sh");
	parse(&p, "--explain ls");
	is_true(p.verb == VERB_EXPLAIN && p.args.n == 1, "--explain takes a COMMAND");

	refused("--nam web ls", "no such option: '--nam'");
	refused("--=web ls", "no such option: '--'");
	refused("-x ls", "no such option: '-x'");
	refused("-vx ls", "no such option: '-x'");
	refused("--name web --name web ls", "--name: given twice");
	refused("-m 3M --memory=4M ls", "--memory: given twice");
	refused("-vv ls", "--verbose: given twice");
	refused("--name", "--name: its value is missing (NAME)");
	refused("-m", "--memory: its value is missing (SIZE)");
	refused("--init=yes ls", "--init: takes no value");
	refused("--memory x\x1b ls", "--memory: 'x\\x1b': not a size");
	refused("--list --check", "--list and --check exclude each other");
	refused("--list --name web", "--name and --list exclude each other");
	refused("--json ls", "--json: only with --list");
	refused("--set web", "--set: nothing to set");
	refused("--set web -q", "--set: nothing to set");
	refused("--set web --rlimit nofile=5 -m 1G", "--rlimit and --set exclude each other");
	refused("--status web --memory 1G", "--memory and --status exclude each other");
	refused("--stop web web", "--stop: takes no arguments: 'web'");
	accepted("--set web -m inf --pids 5 --ip 192.0.2.1");
	accepted("--kill web --signal HUP");
	refused("--list web", "--list: takes no arguments: 'web'");
}

/* Nothing in here sets a pointer, so plans can be compared as bytes. */
static void test_order(void)
{
	static const char *const some[] = {
		"--userns yes", "--until last", "--read-only", "--no-enter", "-m 64M", "--swap 1M", "--pids 5",
		"--cpu-weight 7", "--cpus 1.5", "--virt uptime,mem", "--hide none", "--uptime 9", "--stop-timeout 3",
		"--stop-signal HUP", "--tty no", "--share uts,ipc", "--xid 300", "--keep-env", "--cap-drop all",
		"--cap-add chown", "--ccap userns", "--no-new-privs", "--seccomp none", "--ip host", "-v",
	};
	enum { N = sizeof(some) / sizeof(some[0]) };
	_Static_assert(N == 25, "the steps below");
	static struct plan first, other;
	char line[1024], *argv[64];
	bool same = true;

	for (unsigned seed = 0; seed < 50; seed++) {
		struct plan *p = seed ? &other : &first;

		line[0] = '\0';
		for (size_t i = 0; i < N; i++)  /* steps of 1 to 4 meet each of 25 once */
			snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s ",
				 some[(i * (seed % 4 + 1) + seed) % N]);
		strcat(line, "ls");
		memset(p, 0, sizeof(*p));
		opts_init(p);
		opts_parse(p, split(line, argv), argv);
		opts_check(p);
		memset(&p->args, 0, sizeof(p->args));
		same &= !memcmp(&first, p, sizeof(first));
	}
	is_true(same, "the order of options doesn't change the plan");
}

static const char *file_with(const char *text)
{
	static char path[] = "/tmp/vrun-unit-opts.XXXXXX";
	static int fd = -1;

	if (fd < 0)
		fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, text, strlen(text), 0) < 0)
		abort();
	return path;
}

static void test_args_file(void)
{
	struct plan p;
	const char *f = file_with("# a guest\n\nname=web\n--memory=64M\n  --env  A=1 2\nenv=B==\nread-only\n--root /r\n"
				  "--\n# no argument\nsh\n-c\n  echo hi\n\n");

	parse(&p, xasprintf("--args-file %s", f));
	is_true(!strcmp(p.context.name, "web") && p.limits.memory_bytes == 64 << 20 && p.root.read_only &&
		!strcmp(p.root.dir, "/r"), "name=web, --name=web, --name web and a flag are lines");
	is_true(p.rights.env.n == 2 && !strcmp(p.rights.env.v[0], "A=1 2") && !strcmp(p.rights.env.v[1], "B=="),
		"a value keeps its blanks and its '='");
	is_true(p.args.n == 3 && !strcmp(p.args.v[2], "  echo hi"), "after -- a line is an argument as it stands");
	parse(&p, xasprintf("-m 1G -e C --args-file %s ls", f));
	is_true(p.limits.memory_bytes == 1 << 30 && !strcmp(p.context.name, "web"),
		"a scalar on the command line replaces the file's");
	is_true(p.rights.env.n == 3 && !strcmp(p.rights.env.v[2], "C"), "a list's entries come after the file's");
	is_true(p.args.n == 1 && !strcmp(p.args.v[0], "ls") && !p.args.v[1], "COMMAND replaces the file's");

	file_with("name=web\nname=web\n");
	refused(xasprintf("--args-file %s ls", f), ":2: --name: given twice");
	file_with("\n\nnam=web\n");
	refused(xasprintf("--args-file %s ls", f), ":3: no such option: '--nam'");
	file_with("memory=x");
	refused(xasprintf("--args-file %s -m 3M ls", f), ":1: --memory: 'x': not a size");
	file_with("-m 64M");
	refused(xasprintf("--args-file %s ls", f), ":1: '-m 64M': neither");
	file_with("init=yes");
	refused(xasprintf("--args-file %s ls", f), ":1: --init: takes no value");
	file_with("--init yes");
	refused(xasprintf("--args-file %s ls", f), ":1: --init: takes no value");
	file_with("--name");
	refused(xasprintf("--args-file %s ls", f), ":1: --name: its value is missing");
	file_with("args-file=/dev/null");
	refused(xasprintf("--args-file %s ls", f), ":1: --args-file: not inside such a file");
	file_with("");
	accepted(xasprintf("--args-file %s ls", f));
	refused("--args-file /nonexistent/x ls", "--args-file '/nonexistent/x'");
	refused("--args-file /dev/zero ls", "--args-file '/dev/zero'");
	refused("--args-file / ls", "--args-file '/'");
	unlink(f);
}

static void test_check(void)
{
	struct plan p;

	parse(&p, "ls");
	is_true(p.context.userns == NO && p.context.until == UNTIL_COMMAND && p.net.mode == IP_NONE &&
		p.procvirt.hide == (HIDE_NET | HIDE_MOUNT | HIDE_PROC) && p.control.status_fd == -1 &&
		p.rights.ccap == (CCAP_SET_UTSNAME | CCAP_RAW_ICMP), "defaults without --root");
	parse(&p, "--root /r");
	is_true(p.context.userns == YES, "with --root a user namespace is the default");
	parse(&p, "--root // ls");
	is_true(p.context.userns == NO && !p.root.dir, "--root / is no --root");
	parse(&p, "--join user,ipc=web ls");
	is_true(p.context.userns == YES && p.context.join == (NS_USER | NS_IPC) &&
		!strcmp(p.context.join_name, "web"), "--join user shares a user namespace, so there is one");
	parse(&p, "--ip host ls");
	is_true(p.procvirt.hide == (HIDE_MOUNT | HIDE_PROC), "--ip host implies --hide without net");

	refused("--init", "COMMAND is missing");
	refused("--root / --init", "COMMAND is missing");
	refused("--cow tmpfs ls", "--cow: needs --root");
	refused("--root / --cow tmpfs ls", "--cow: needs --root");
	refused("--writable-root --root /r", "--writable-root and --root exclude");
	refused("--writable-root --read-only ls", "--writable-root and --read-only exclude");
	refused("--share pid --join pid=web ls", "--share pid and --join pid exclude");
	refused("--join pid=web --name web ls", "--join: 'web' is the --name");
	refused("--join user=web --userns no ls", "--join user and --userns no exclude");
	refused("--share uts --hostname h ls", "--hostname and --share exclude");
	refused("--join uts=web --hostname h ls", "--hostname and --join exclude");
	refused("--share ipc --sysctl kernel.shmmax=1 ls", "--sysctl and --share exclude");
	refused("--init --share pid ls", "--init: COMMAND can't be pid 1 with --share pid");
	refused("--init --join pid=web ls", "--init: COMMAND can't be pid 1 with --join pid");
	refused("--init --until last ls", "--init and --until exclude");
	refused("--on-reboot restart ls", "--on-reboot restart: needs --init");
	refused("--share pid --on-reboot exit ls", "--on-reboot and --share exclude");
	refused("--ip-later ls", "--ip-later: needs an --ip ADDR");
	refused("--ip host --connect-deny 10.0.0.0/8 ls", "--connect-deny: needs an --ip ADDR");
	refused("--ip 10.0.0.1 --join net=web ls", "--ip and --join exclude");
	refused("--share abstract ls", "--share abstract: needs --ip");
	refused("--ip host --hide net ls", "--hide net and --ip host exclude");
	refused("--cpus 1 --cpu-rate 250/1000 ls", "--cpus and --cpu-rate exclude");
	refused("--virt none --uptime 5 ls", "--uptime: needs uptime in --virt");
	refused("--status-fd 1 --keep-fd 5 ls", "--keep-fd 5: Bad file descriptor");
	refused("-v -q ls", "--verbose and --quiet exclude");
	accepted("--share uts,pid --join ipc,cgroup=web ls");
	accepted("--swap 0 -m 64M ls");
	accepted("--share abstract --join net=web ls");
	accepted("--ip 10.0.0.1 --ip-later --connect-allow 10.0.0.0/8:80 ls");
}

int main(void)
{
	test_table();
	test_values();
	test_walk();
	test_order();
	test_args_file();
	test_check();
	printf("1..%d\n", count);
	return failures > 0;
}

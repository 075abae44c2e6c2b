/* SPDX-License-Identifier: ISC */
/*
 * util.c: errors, numbers, text and file descriptors. It knows no concern and calls only libc.
 *
 * Errors. There is one way to fail: die(). Past the first privileged step a half-made guest is no state
 * to go on from, so nothing returns codes up a stack. In the supervisor die() prints one line, undoes
 * (util_undo) and exits. In a child (builder, guest init, COMMAND before its exec) it sends the exit code
 * and the line over the CLOEXEC error pipe and _exits: the supervisor prints and undoes, so that nothing is
 * said twice and only one process takes things apart. The prefix is fixed, "vrun: ": argv[0] is the
 * caller's to choose.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <link.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <linux/magic.h>

bool util_quiet;
int util_error_fd = -1;
void (*util_undo)(void);
void (*util_failed)(const char *text);

/* ---- errors ---- */

/* One write(2) a line, so that lines of several guests don't mix. */
static void print_line(const char *text, const char *more)
{
	char line[2048];
	int n = snprintf(line, sizeof(line), "vrun: %s%s\n", text, more);

	if (n >= (int)sizeof(line)) {
		n = sizeof(line);
		line[n - 1] = '\n';
	}
	write_all(STDERR_FILENO, line, (size_t)n);
}

static _Noreturn void fail(int code, const char *text, const char *more)
{
	if (util_error_fd >= 0) {
		char msg[sizeof(int32_t) + 2000];
		int32_t c = code;
		int n;

		memcpy(msg, &c, sizeof(c));
		n = snprintf(msg + sizeof(c), sizeof(msg) - sizeof(c), "%s", text);
		if (n > (int)(sizeof(msg) - sizeof(c) - 1))
			n = (int)(sizeof(msg) - sizeof(c) - 1);
		write_all(util_error_fd, msg, sizeof(c) + (size_t)n);
		_exit(code);
	}
	print_line(text, more);
	if (util_failed)
		util_failed(text);
	if (util_undo) {
		void (*undo)(void) = util_undo;

		util_undo = NULL;       /* a failure while undoing must not undo again */
		undo();
	}
	exit(code);
}

#define FORMAT(buf, fmt) do { \
	va_list ap; \
	va_start(ap, fmt); \
	vsnprintf(buf, sizeof(buf), fmt, ap); \
	va_end(ap); \
} while (0)

void die(const char *fmt, ...)
{
	char text[1800];

	FORMAT(text, fmt);
	fail(EXIT_VRUN, text, "");
}

void die_sys(const char *fmt, ...)
{
	const char *reason = strerror(errno);
	char text[1800];
	size_t n;

	FORMAT(text, fmt);
	n = strlen(text);
	snprintf(text + n, sizeof(text) - n, ": %s", reason);
	fail(EXIT_VRUN, text, "");
}

void die_code(int code, const char *fmt, ...)
{
	char text[1800];

	FORMAT(text, fmt);
	fail(code, text, "");
}

void die_usage(const char *fmt, ...)
{
	char text[1800];

	FORMAT(text, fmt);
	fail(EXIT_VRUN, text, ". Try 'vrun --help'.");
}

void note(const char *fmt, ...)
{
	char text[1800];

	if (util_quiet)
		return;
	FORMAT(text, fmt);
	print_line(text, "");
}

int flush_output(void)
{
	/* Not by fflush alone: musl writes a first line at once, and forgets it when that fails. */
	if (fflush(stdout) || ferror(stdout))
		die("standard output: what was to be printed could not be written");
	return 0;
}

int read_error(int fd, int32_t *code, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	if (n < (ssize_t)sizeof(*code))
		return n < 0 ? -1 : 0;
	memcpy(code, text, sizeof(*code));
	*code &= 0xff;
	n -= (ssize_t)sizeof(*code);
	memmove(text, text + sizeof(*code), (size_t)n);
	text[n] = '\0';
	/* Whoever is in the guest may have got hold of the pipe: no escape sequences to the caller's terminal. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	return 1;
}

size_t text_to_json(char *out, size_t room, const char *s)
{
	size_t n = 0;

	/* Six bytes are the longest escape; what doesn't fit any more is left out whole. */
	for (; *s && n + 7 < room; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			n += (size_t)sprintf(out + n, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f) /* a path may be no UTF-8: bytes as their code points */
			n += (size_t)sprintf(out + n, "\\u%04x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return n;
}

const char *quote(const char *s)
{
	static char ring[8][256];
	static unsigned next;
	char *out = ring[next++ % 8], *p = out, *end = out + sizeof(ring[0]) - 8;

	*p++ = '\'';
	for (; *s && p < end; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\'' || c == '\\')
			p += sprintf(p, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)         /* no escape sequences to the caller's terminal */
			p += sprintf(p, "\\x%02x", c);
		else
			*p++ = (char)c;
	}
	if (*s)
		p += sprintf(p, "...");
	*p++ = '\'';
	*p = '\0';
	return out;
}

/* ---- numbers and words ---- */

static const char *digits(const char **s, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = *s;

	if (*p < '0' || *p > '9')
		return "not a number";
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return "too large";
	}
	*s = p;
	*out = v;
	return NULL;
}

const char *parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v;
	const char *why = digits(&s, &v);

	if (why)
		return why;
	if (*s)
		return "not a number";
	if (v < min)
		return "too small";
	if (v > max)
		return "too large";
	*out = v;
	return NULL;
}

/* number, then at most one suffix of the list; multiplied */
static const char *scaled(const char *s, const char *const *suffix, const uint64_t *factor, uint64_t *out,
			  const char *what)
{
	uint64_t v;
	const char *why;

	if (strcmp(s, "inf") == 0) {
		*out = UINT64_MAX;
		return NULL;
	}
	why = digits(&s, &v);
	if (why)
		return strcmp(why, "too large") ? what : why;
	for (size_t i = 0; suffix[i]; i++) {
		if (strcmp(s, suffix[i]) == 0) {
			if (__builtin_mul_overflow(v, factor[i], &v) || v == UINT64_MAX)
				return "too large";
			*out = v;
			return NULL;
		}
	}
	return what;
}

const char *parse_size(const char *s, uint64_t *bytes)
{
	static const char *const suffix[] = { "", "K", "M", "G", "T", NULL };
	static const uint64_t factor[] = { 1, 1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40 };

	return scaled(s, suffix, factor, bytes, "not a size (64M, 2G, plain bytes)");
}

const char *parse_time_ms(const char *s, uint64_t *ms)
{
	static const char *const suffix[] = { "", "ms", "s", "m", "h", "d", NULL };
	static const uint64_t factor[] = { 1000, 1, 1000, 60000, 3600000, 86400000 };

	return scaled(s, suffix, factor, ms, "not a time (500ms, 10s, 5m, 2h, 1d, plain seconds)");
}

const char *parse_bool_word(const char *s, const char *yes, const char *no, bool *out)
{
	if (strcmp(s, yes) && strcmp(s, no))
		return "not one of its words";
	*out = strcmp(s, yes) == 0;
	return NULL;
}

static const struct { const char *name; int sig; } signal_names[] = {
	{ "HUP", SIGHUP }, { "INT", SIGINT }, { "QUIT", SIGQUIT }, { "ILL", SIGILL }, { "TRAP", SIGTRAP },
	{ "ABRT", SIGABRT }, { "BUS", SIGBUS }, { "FPE", SIGFPE }, { "KILL", SIGKILL }, { "USR1", SIGUSR1 },
	{ "SEGV", SIGSEGV }, { "USR2", SIGUSR2 }, { "PIPE", SIGPIPE }, { "ALRM", SIGALRM }, { "TERM", SIGTERM },
	{ "CHLD", SIGCHLD }, { "CONT", SIGCONT }, { "STOP", SIGSTOP }, { "TSTP", SIGTSTP }, { "TTIN", SIGTTIN },
	{ "TTOU", SIGTTOU }, { "URG", SIGURG }, { "XCPU", SIGXCPU }, { "XFSZ", SIGXFSZ }, { "VTALRM", SIGVTALRM },
	{ "PROF", SIGPROF }, { "WINCH", SIGWINCH }, { "IO", SIGIO }, { "PWR", SIGPWR }, { "SYS", SIGSYS },
};

const char *parse_signal(const char *s, int *sig)
{
	const char *name = strncmp(s, "SIG", 3) == 0 ? s + 3 : s;
	uint64_t v;

	if (!parse_u64(s, 1, 64, &v)) {
		*sig = (int)v;
		return NULL;
	}
	for (size_t i = 0; i < sizeof(signal_names) / sizeof(signal_names[0]); i++) {
		if (strcmp(name, signal_names[i].name) == 0) {
			*sig = signal_names[i].sig;
			return NULL;
		}
	}
	/* RTMIN+3 means glibc's count, from 34: systemd(1) documents its signals so. musl's SIGRTMIN is 35. */
	if (strcmp(name, "RTMIN") == 0) {
		*sig = 34;
		return NULL;
	}
	if (strncmp(name, "RTMIN+", 6) == 0 && !parse_u64(name + 6, 0, 30, &v)) {
		*sig = 34 + (int)v;
		return NULL;
	}
	return "not a signal";
}

const char *parse_words(const char *s, char sep, struct words *out)
{
	struct words w = { 0 };

	for (;;) {
		const char *end = strchrnul(s, sep);

		if (end == s) {
			for (size_t i = 0; i < w.n; i++)
				free(w.v[i]);
			free(w.v);
			return "an empty word in the list";
		}
		w.v = xrealloc_array(w.v, w.n + 1, sizeof(*w.v));
		w.v[w.n++] = strndup(s, (size_t)(end - s));
		if (!w.v[w.n - 1])
			die("out of memory");
		if (!*end)
			break;
		s = end + 1;
	}
	out->v = xrealloc_array(out->v, out->n + w.n, sizeof(*out->v));
	memcpy(out->v + out->n, w.v, w.n * sizeof(*w.v));
	out->n += w.n;
	free(w.v);
	return NULL;
}

/* ---- memory ---- */

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		die("out of memory");
	return p;
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size);
	if (!p)
		die("out of memory");
	return p;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		die("out of memory");
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		die("out of memory");
	return p;
}

/* ---- files and descriptors ---- */

bool path_is_in(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

ssize_t read_at(int dir_fd, const char *path, char *buf, size_t size)
{
	_cleanup_fd_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;

	if (fd < 0)
		return -1;
	for (;;) {
		ssize_t r = read(fd, buf + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		n += (size_t)r;
		if (r == 0)
			break;
		if (n == size) {
			errno = EFBIG;
			return -1;
		}
	}
	buf[n] = '\0';
	return (ssize_t)n;
}

int write_at(int dir_fd, const char *path, const char *text)
{
	_cleanup_fd_ int fd = openat(dir_fd, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	size_t n = strlen(text);
	ssize_t w;

	if (fd < 0)
		return -1;
	do
		w = write(fd, text, n);
	while (w < 0 && errno == EINTR);
	if (w >= 0 && (size_t)w != n)
		errno = EIO;
	return w == (ssize_t)n ? 0 : -1;
}

int write_all(int fd, const void *buf, size_t n)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

enum { FDS_MAX = 16 };

int send_fds(int sock, const void *msg, size_t len, const int *fds, size_t n_fds)
{
	union { struct cmsghdr align; char buf[CMSG_SPACE(FDS_MAX * sizeof(int))]; } c;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds > FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (n_fds > 0) {
		memset(&c, 0, sizeof(c));
		h.msg_control = c.buf;
		h.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *m = CMSG_FIRSTHDR(&h);
		if (!m)
			abort();	/* there is room for it */
		m->cmsg_level = SOL_SOCKET;
		m->cmsg_type = SCM_RIGHTS;
		m->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(m), fds, n_fds * sizeof(int));
	}
	do
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

ssize_t recv_fds(int sock, void *msg, size_t len, int *fds, size_t *n_fds)
{
	union { struct cmsghdr align; char buf[CMSG_SPACE(FDS_MAX * sizeof(int))]; } c;
	struct iovec iov = { .iov_base = msg, .iov_len = len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof(c.buf) };
	size_t room = n_fds ? *n_fds : 0, got = 0;
	ssize_t n;

	do
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m)) {
		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		size_t k = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < k; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
			if (got < room)
				fds[got++] = fd;
			else
				close(fd);
		}
	}
	if (n_fds)
		*n_fds = got;
	return n;
}

int memfd_sealed(const char *name, const void *data, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write_all(fd, data, len) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		close_fd(&fd);
	return fd;
}

static int own_proc(void)
{
	_cleanup_fd_ int fs = sys_fsopen("proc", FSOPEN_CLOEXEC);

	if (fs < 0 || sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return sys_fsmount(fs, FSMOUNT_CLOEXEC, 0);
}

extern ElfW(Dyn) _DYNAMIC[] __attribute__((weak, visibility("hidden")));

/* Where we were loaded: what the addresses in the program headers are relative to. */
static uintptr_t load_base(const ElfW(Phdr) *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (h[i].p_type == PT_DYNAMIC && _DYNAMIC)
			return (uintptr_t)_DYNAMIC - h[i].p_vaddr;
	return 0;
}

/* musl relocates a static PIE but, unlike a dynamic loader, leaves PT_GNU_RELRO writable. */
void protect_relro(void)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const ElfW(Phdr) *h = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	const size_t n = getauxval(AT_PHNUM);
	const uintptr_t base = load_base(h, n);

	for (size_t i = 0; i < n; i++) {
		if (h[i].p_type != PT_GNU_RELRO)
			continue;
		uintptr_t from = (base + h[i].p_vaddr) & ~(page - 1);
		uintptr_t to = (base + h[i].p_vaddr + h[i].p_memsz) & ~(page - 1);
		if (to > from && mprotect((void *)from, to - from, PROT_READ) < 0)
			die_sys("mprotect of relocated data");
	}
}

uint32_t build_id(void)
{
	const ElfW(Phdr) *h = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	const size_t n = getauxval(AT_PHNUM);
	const uintptr_t base = load_base(h, n);
	uint32_t id = 0;

	for (size_t i = 0; i < n; i++) {
		const char *p = (const char *)(base + h[i].p_vaddr), *end = p + h[i].p_memsz;

		while (h[i].p_type == PT_NOTE && end - p >= (ptrdiff_t)(sizeof(ElfW(Nhdr)) + 4 + sizeof(id))) {
			const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)p;
			const char *name = p + sizeof(*note), *desc = name + ((note->n_namesz + 3) & ~3U);

			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(name, "GNU", 4))
				memcpy(&id, desc, sizeof(id));
			p = desc + ((note->n_descsz + 3) & ~3U);
		}
	}
	return id;
}

/* The numbers in it are those of our own pid namespace. Else (`unshare -pf` without a new /proc) /proc/PID would be
 * another process than the one that we mean, and uid_map be written there. */
static bool shows_own_pids(int proc_fd)
{
	char self[16], own[16];
	ssize_t n = readlinkat(proc_fd, "self", self, sizeof(self) - 1);

	if (n < 0)
		return false;
	self[n] = '\0';
	snprintf(own, sizeof(own), "%d", (int)getpid());
	return strcmp(self, own) == 0;
}

int host_proc_fd(void)
{
	static int fd = -1;
	struct statfs s;

	if (fd >= 0)
		return fd;
	/* Not by path alone: what stands at /proc may be a directory of lies (CVE-2025-52881, CVE-2019-19921). */
	fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && (fstatfs(fd, &s) < 0 || s.f_type != PROC_SUPER_MAGIC || !shows_own_pids(fd)))
		close_fd(&fd);
	if (fd < 0)
		fd = own_proc();        /* an initramfs before anyone mounted it, or see above */
	if (fd < 0)
		die_sys("/proc is no procfs of this pid namespace, and none can be mounted");
	return fd;
}

/* SPDX-License-Identifier: ISC */
/*
 * identity.c: whom COMMAND runs as, and what it finds in its environment.
 *
 * --user and --groups are resolved in the guest, by the guest's own /etc/passwd and /etc/group, behind the
 * barrier and with the guest's rights. Both files are the guest's, so they are taken for hostile: a regular file
 * or nothing, reached without magic links (/etc/passwd -> /proc/self/fd/9 would be a descriptor of init's), read
 * once up to a bound, then parsed from memory. A line that is not exactly right is not there. The worst that a
 * file can do is to choose ids of its own guest, which guest root may do anyway.
 *
 * A number is always a number, never a name that looks like one, and works without any file. Everything that is
 * neither a plain decimal nor a plain name is an error before anything has begun (crun CVE-2026-30892).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "compat.h"
#include "vrun.h"

enum { FILE_MAX_BYTES = 4 << 20, GROUPS_MAX = 65536 };  /* NGROUPS_MAX of the kernel */

/* A span of text: the files' contents are never changed, and may hold any byte. */
struct span { const char *p; size_t len; };

static bool span_is(struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.p, text, s.len) == 0;
}

static bool span_number(struct span s, uint64_t max, uint64_t *out)
{
	char text[24];

	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.p, '\0', s.len))
		return false;
	memcpy(text, s.p, s.len);
	text[s.len] = '\0';
	return parse_u64(text, 0, max, out) == NULL;
}

/* ---- the words of --user and --groups ---- */

struct word { bool is_number; uint64_t id; char name[257]; };

/* Names as useradd(8) takes them; a leading digit or sign would be a mistyped number. */
static const char *word_parse(struct span s, uint64_t max_id, struct word *w)
{
	struct word word = { 0 };

	if (s.len == 0)
		return "empty name";
	if (span_number(s, max_id, &word.id)) {
		word.is_number = true;
		*w = word;
		return NULL;
	}
	if (span_number(s, UINT64_MAX, &word.id))
		return max_id == UINT32_MAX - 1 ? "ids go up to 4294967294" : "a guest has the ids 0 to 65535";
	if (s.len >= sizeof(word.name))
		return "name too long";
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!(isalpha(c) || c == '_' || (i > 0 && (isdigit(c) || c == '-' || c == '.')) ||
		      (i > 0 && i == s.len - 1 && c == '$')))
			return "neither a number nor a name";
	}
	memcpy(word.name, s.p, s.len);
	*w = word;
	return NULL;
}

/* U[:G]; *have_group tells whether :G was there. */
static const char *user_parse(const char *arg, uint64_t max_id, struct word *user, struct word *group,
			      bool *have_group)
{
	const char *colon = strchr(arg, ':');
	struct span u = { arg, colon ? (size_t)(colon - arg) : strlen(arg) };
	const char *why = word_parse(u, max_id, user);

	*have_group = colon != NULL;
	if (!why && colon)
		why = word_parse((struct span){ colon + 1, strlen(colon + 1) }, max_id, group);
	return why;
}

static uint64_t max_id(const struct plan *p)
{
	return p->context.userns == YES ? IDS_PER_GUEST - 1 : UINT32_MAX - 1;
}

/* Calls each for every word of --groups; stops at the first reason. */
static const char *groups_parse(const char *arg, uint64_t max, struct word *out, size_t room, size_t *n)
{
	*n = 0;
	for (const char *at = arg;; at++) {
		size_t len = strcspn(at, ",");
		const char *why;

		if (*n == room)
			return "too many groups";
		why = word_parse((struct span){ at, len }, max, &out[*n]);
		if (why)
			return why;
		++*n;
		at += len;
		if (!*at)
			return NULL;
	}
}

enum { GROUP_WORDS_MAX = 256 };

void identity_check(struct plan *p)
{
	struct word user, group, *list;
	bool have_group;
	const char *why;
	size_t n;

	if (p->rights.user && (why = user_parse(p->rights.user, max_id(p), &user, &group, &have_group)))
		die_usage("--user %s: %s", quote(p->rights.user), why);
	if (!p->rights.groups)
		return;
	list = xmalloc(GROUP_WORDS_MAX * sizeof(*list));
	why = groups_parse(p->rights.groups, max_id(p), list, GROUP_WORDS_MAX, &n);
	free(list);
	if (why)
		die_usage("--groups %s: %s", quote(p->rights.groups), why);
}

/* ---- the guest's files, as text in memory ---- */

enum { PASSWD_FIELDS = 7, GROUP_FIELDS = 4 };

/* The next line with exactly n fields and no NUL; false at the end of the text. */
static bool next_record(struct span *text, struct span *field, size_t n)
{
	while (text->len > 0) {
		const char *newline = memchr(text->p, '\n', text->len);
		struct span line = { text->p, newline ? (size_t)(newline - text->p) : text->len };
		size_t used = line.len + (newline ? 1 : 0), i = 0;

		text->p += used;
		text->len -= used;
		if (memchr(line.p, '\0', line.len))
			continue;
		for (;; i++) {
			const char *colon = memchr(line.p, ':', line.len);
			size_t len = colon ? (size_t)(colon - line.p) : line.len;

			if (i < n)
				field[i] = (struct span){ line.p, len };
			if (!colon)
				break;
			line.p += len + 1;
			line.len -= len + 1;
		}
		if (i + 1 == n)
			return true;
	}
	return false;
}

struct user { struct span name, home, shell; uint64_t uid, gid; };

/* The first right line with that name or, if name is NULL, that uid. */
static bool find_user(struct span passwd, const char *name, uint64_t uid, uint64_t max, struct user *out)
{
	struct span f[PASSWD_FIELDS];

	while (next_record(&passwd, f, PASSWD_FIELDS)) {
		struct user u = { .name = f[0], .home = f[5], .shell = f[6] };

		if (f[0].len == 0 || !span_number(f[2], max, &u.uid) || !span_number(f[3], max, &u.gid))
			continue;
		if (name ? span_is(f[0], name) : u.uid == uid) {
			*out = u;
			return true;
		}
	}
	return false;
}

static bool find_group(struct span group, const char *name, uint64_t max, uint64_t *gid)
{
	struct span f[GROUP_FIELDS];

	while (next_record(&group, f, GROUP_FIELDS))
		if (span_is(f[0], name) && span_number(f[2], max, gid))
			return true;
	return false;
}

static bool has_member(struct span list, const char *user)
{
	while (list.len > 0) {
		const char *comma = memchr(list.p, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.p) : list.len;

		if (span_is((struct span){ list.p, len }, user))
			return true;
		len += comma ? 1 : 0;
		list.p += len;
		list.len -= len;
	}
	return false;
}

/* Groups that have user as a member, at most room of them. */
static size_t find_memberships(struct span group, const char *user, uint64_t max, gid_t *out, size_t room)
{
	struct span f[GROUP_FIELDS];
	uint64_t gid;
	size_t n = 0;

	while (n < room && next_record(&group, f, GROUP_FIELDS))
		if (span_number(f[2], max, &gid) && has_member(f[3], user))
			out[n++] = (gid_t)gid;
	return n;
}

/* ---- reading them ---- */

/* O_NONBLOCK: a FIFO has no writer. An empty text and errno if there is no such file, or no regular one. */
static struct span read_guest_file(const char *path)
{
	_cleanup_fd_ int fd = sys_openat2(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
					  RESOLVE_NO_MAGICLINKS);
	struct span none = { "", 0 };
	struct stat st;
	char *text;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return none;
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		return none;
	}
	/* A file that grows or shrinks meanwhile is as long as what was read; procfs' are empty. */
	text = xmalloc((size_t)st.st_size + 1);
	while (n < (size_t)st.st_size) {
		ssize_t r = read(fd, text + n, (size_t)st.st_size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			free(text);
			return none;
		}
		if (r == 0)
			break;
		n += (size_t)r;
	}
	if (n == 0)
		free(text);
	errno = 0;
	return n ? (struct span){ text, n } : none;
}

_Noreturn static void die_not_found(const char *option, const char *name, const char *path, int err)
{
	if (err)
		die("%s %s: read the guest's %s: %s", option, quote(name), path, strerror(err));
	die("%s %s: no such name in the guest's %s", option, quote(name), path);
}

static uint64_t resolve_group(const char *option, const struct word *w, struct span group, int group_err,
			      uint64_t max)
{
	uint64_t gid = w->id;

	if (!w->is_number && !find_group(group, w->name, max, &gid))
		die_not_found(option, w->name, "/etc/group", group_err);
	return gid;
}

static int compare_gid(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

static void set_groups(struct identity *id, gid_t *list, size_t n)
{
	size_t kept = 0;

	qsort(list, n, sizeof(*list), compare_gid);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || list[i] != list[i - 1])
			list[kept++] = list[i];
	id->groups = list;
	id->n_groups = kept;
}

/*
 * --groups and nothing else; or the main group, with what /etc/group says of a user by name. The main group is
 * among them, as initgroups(3) has it: else a set-group-ID program would shake it off, and with it what files
 * refuse to that group alone (CVE-2022-36109).
 */
static void resolve_groups(const struct plan *p, const char *member, struct span group, int group_err,
			   struct identity *id)
{
	/* A line of a group that has a member is 6 bytes at least. */
	size_t lines = group.len / 6 + 1, room = lines + GROUP_WORDS_MAX < GROUPS_MAX ? lines + GROUP_WORDS_MAX : GROUPS_MAX;
	gid_t *list = xmalloc(room * sizeof(*list));
	size_t n = 0;
	struct word *words;

	if (p->rights.groups) {
		words = xmalloc(GROUP_WORDS_MAX * sizeof(*words));
		if (groups_parse(p->rights.groups, max_id(p), words, GROUP_WORDS_MAX, &n))
			die("--groups %s: not a list of groups", quote(p->rights.groups));
		for (size_t i = 0; i < n; i++)
			list[i] = (gid_t)resolve_group("--groups", &words[i], group, group_err, max_id(p));
		free(words);
	} else {
		list[n++] = id->gid;
		if (member)
			n += find_memberships(group, member, max_id(p), list + n, room - n);
	}
	set_groups(id, list, n);
}

static char *span_text(struct span s, const char *otherwise)
{
	return s.len > 0 ? xasprintf("%.*s", (int)s.len, s.p) : xstrdup(otherwise);
}

/*
 * A number that no line has gets the group of the same number, not 0: a user that was asked for by number is to
 * have nothing of root's.
 */
void identity_resolve(const struct plan *p, struct identity *id)
{
	struct span passwd = read_guest_file("/etc/passwd");
	int passwd_err = errno, group_err;
	struct span group = read_guest_file("/etc/group");
	struct word user = { .is_number = true }, main_group;
	bool have_group = false, found;
	struct user u = { 0 };

	group_err = errno;
	if (p->rights.user && user_parse(p->rights.user, max_id(p), &user, &main_group, &have_group))
		die("--user %s: neither a number nor a name", quote(p->rights.user));
	found = find_user(passwd, user.is_number ? NULL : user.name, user.id, max_id(p), &u);
	if (!found && !user.is_number)
		die_not_found("--user", user.name, "/etc/passwd", passwd_err);
	if (!found)
		u.uid = u.gid = user.id;
	if (!p->rights.user)
		u.gid = 0;
	if (have_group)
		u.gid = resolve_group("--user", &main_group, group, group_err, max_id(p));
	id->uid = (uid_t)u.uid;
	id->gid = (gid_t)u.gid;
	id->home = span_text(u.home, "/");
	id->shell = span_text(u.shell, "/bin/sh");
	id->user = found ? span_text(u.name, "") : xasprintf("%u", id->uid);
	resolve_groups(p, user.is_number ? NULL : user.name, group, group_err, id);
	if (passwd.len)
		free((char *)(uintptr_t)passwd.p);
	if (group.len)
		free((char *)(uintptr_t)group.p);
}

/* ---- the environment ---- */

struct environment { char **v; size_t n; };

static size_t name_length(const char *entry)
{
	return strcspn(entry, "=");
}

static char **env_find(struct environment *e, const char *entry)
{
	size_t len = name_length(entry);

	for (size_t i = 0; i < e->n; i++)
		if (name_length(e->v[i]) == len && memcmp(e->v[i], entry, len) == 0)
			return &e->v[i];
	return NULL;
}

static void env_set(struct environment *e, char *entry)
{
	char **old = env_find(e, entry);

	if (old) {
		free(*old);
		*old = entry;
		return;
	}
	e->v = xrealloc_array(e->v, e->n + 2, sizeof(*e->v));
	e->v[e->n++] = entry;
	e->v[e->n] = NULL;
}

static void env_default(struct environment *e, const char *name, const char *value)
{
	char *entry = xasprintf("%s=%s", name, value);

	if (env_find(e, entry))
		free(entry);
	else
		env_set(e, entry);
}

static const char *caller_value(char **caller_env, const char *name)
{
	size_t len = strlen(name);

	for (char **e = caller_env; e && *e; e++)
		if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
			return *e + len + 1;
	return NULL;
}

/* The one value of the caller's that comes along unasked: it says what the terminal is, and may say only that. */
static const char *caller_term(char **caller_env)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._";
	const char *term = caller_value(caller_env, "TERM");

	return term && *term && strlen(term) <= 64 && term[strspn(term, allowed)] == '\0' ? term : "dumb";
}

/* --env wins over --keep-env, both over the defaults. A name that the caller hasn't is left out, as env(1) would. */
char **identity_environment(const struct plan *p, const struct identity *id, char **caller_env)
{
	struct environment e = { 0 };

	if (p->rights.keep_env)
		for (char **entry = caller_env; entry && *entry; entry++)
			if (name_length(*entry) > 0 && strchr(*entry, '='))
				env_set(&e, xstrdup(*entry));
	for (size_t i = 0; i < p->rights.env.n; i++) {
		const char *entry = p->rights.env.v[i];
		const char *value = strchr(entry, '=') ? NULL : caller_value(caller_env, entry);

		if (value)
			env_set(&e, xasprintf("%s=%s", entry, value));
		else if (strchr(entry, '='))
			env_set(&e, xstrdup(entry));
	}
	env_default(&e, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	env_default(&e, "TERM", caller_term(caller_env));
	env_default(&e, "HOME", id->home);
	env_default(&e, "USER", id->user);
	env_default(&e, "SHELL", id->shell);
	/* By this word an init knows that the hardware is not its business (systemd's CONTAINER_INTERFACE). */
	if (p->context.init)
		env_default(&e, "container", "vrun");
	return e.v;
}

/* SPDX-License-Identifier: ISC */
/* identity.c: the words of --user and --groups, hostile passwd and group files, and the environment. */
#include "../../identity.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static struct span text(const char *s)
{
	return (struct span){ s, strlen(s) };
}

/* crun CVE-2026-30892 and its like: rejected, or exactly what it says. */
static void words(void)
{
	static const char *const bad[] = {
		"", ":", "0:", ":0", "a:b:c", "0x1", "1000 ", " 1000", "-1", "+1", "4294967295", "4294967296",
		"18446744073709551616", "99999999999999999999999999", "1e3", "1000\n", "root\n", "a b", "a/b", "..", "-",
		"$", "a$b", "\xc3\xa4", "0:0x0", "0:-1", "0:4294967295", "0:0:0", "root:", "1,2",
	};
	static const char *const good[] = { "0", "1000", "65535", "4294967294", "root", "_apt", "www-data", "a.b", "host$",
					    "0:0", "root:root", "1000:staff", "x:65534" };
	struct word u, g;
	bool have;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(user_parse(bad[i], UINT32_MAX - 1, &u, &g, &have) != NULL, quote(bad[i]));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check(user_parse(good[i], UINT32_MAX - 1, &u, &g, &have) == NULL, good[i]);
	check(!user_parse("65535", 65535, &u, &g, &have) && user_parse("65536", 65535, &u, &g, &have),
	      "in a user namespace ids end at 65535");
	check(!user_parse("12:34", 65535, &u, &g, &have) && u.is_number && u.id == 12 && have && g.id == 34,
	      "U:G is what it says");
}

static void passwd(void)
{
	struct user u;
	char *large = xmalloc(1 << 20);

	check(find_user(text("root:x:0:0:r:/root:/bin/sh\nwww:x:33:34::/var/www:\n"), "www", 0, 65535, &u) &&
	      u.uid == 33 && u.gid == 34 && span_is(u.home, "/var/www") && u.shell.len == 0, "a plain line is found");
	check(find_user(text("a:x:5:5:::\nb:x:5:6:::"), NULL, 5, 65535, &u) && u.gid == 5, "the first of two lines counts");
	check(find_user(text("b:x:5:6::/:/sh"), "b", 0, 65535, &u), "a last line without a newline counts");
	check(!find_user(text("b:x:5:6::/\nb:x:5:6::/:/sh:more\n"), "b", 0, 65535, &u), "6 or 8 fields are no line");
	check(!find_user(text("b:x:-1:6::/:/s\nb:x:0x5:6::/:/s\nb:x: 5:6::/:/s\nb:x:5 :6::/:/s\nb:x::6::/:/s\n"
			      "b:x:4294967295:6::/:/s\nb:x:4294967296:6::/:/s\nb:x:18446744073709551621:6::/:/s\n"
			      "b:x:5:65536::/:/s\nb:x:5:-1::/:/s\n"), "b", 0, 65535, &u), "odd numbers are no lines");
	check(!find_user((struct span){ "b:x:5:6:\0:/:/s\n", 15 }, "b", 0, 65535, &u), "a NUL is no line");
	check(!find_user(text(":x:5:6::/:/s\n"), NULL, 5, 65535, &u), "a line without a name is none");
	check(!find_user(text(""), "b", 0, 65535, &u) && !find_user(text("\n\n\n:::::\n::::::\n"), "b", 0, 65535, &u),
	      "nothing, and next to nothing, has nobody");
	check(!find_user(text("+@nis::::::\n+::::::\n"), "b", 0, 65535, &u), "NIS lines are nobody");
	memset(large, ':', 1 << 20);
	check(!find_user((struct span){ large, 1 << 20 }, "b", 0, 65535, &u), "a line of a million colons is none");
	memset(large, 'b', 1 << 20);
	check(!find_user((struct span){ large, 1 << 20 }, "b", 0, 65535, &u), "a line of a million letters is none");
	free(large);
}

static void groups(void)
{
	const char *file = "root:x:0:\nstaff:x:50:ann,bob\nbobs:x:51:bobby\nx:x:52:bob\ny:x:-1:bob\nz:x:53:,bob,\nw:x:54:bob\n";
	gid_t list[8];
	uint64_t gid;
	size_t n = find_memberships(text(file), "bob", 65535, list, 8);
	struct identity id = { 0 };
	gid_t *twice = xmalloc(5 * sizeof(gid_t));

	check(n == 4 && list[0] == 50 && list[1] == 52 && list[2] == 53 && list[3] == 54, "memberships are found whole");
	check(find_memberships(text(file), "bob", 65535, list, 2) == 2, "no more of them than there is room for");
	check(find_group(text(file), "staff", 65535, &gid) && gid == 50, "a group is found");
	check(!find_group(text(file), "y", 65535, &gid) && !find_group(text(file), "", 65535, &gid), "no broken one is");
	memcpy(twice, (gid_t[]){ 7, 3, 7, 3, 3 }, 5 * sizeof(gid_t));
	set_groups(&id, twice, 5);
	check(id.n_groups == 2 && id.groups[0] == 3 && id.groups[1] == 7, "each group counts once");
	free(twice);
}

static bool has(char **env, const char *entry)
{
	for (; *env; env++)
		if (strcmp(*env, entry) == 0)
			return true;
	return false;
}

static void release(char **env)
{
	for (char **entry = env; *entry; entry++)
		free(*entry);
	free(env);
}

#define S(text) ((char *)(text))

static void environment(void)
{
	char *caller[] = { S("TERM=xterm-256color"), S("SECRET=1"), S("LANG=de"), S("LD_PRELOAD=x"), S("=odd"), S("odd"), NULL };
	char *strange[] = { S("TERM=x\033]0;y"), NULL };
	char *asked[] = { S("LANG"), S("A=b=c"), S("EMPTY="), S("NOT_THERE") };
	struct identity id = { .home = S("/h"), .shell = S("/s"), .user = S("u") };
	struct plan p = { 0 };
	char **e = identity_environment(&p, &id, caller);

	check(has(e, "TERM=xterm-256color") && has(e, "HOME=/h") && has(e, "USER=u") && has(e, "SHELL=/s") && e[5] == NULL,
	      "by default there are PATH TERM HOME USER SHELL, and nothing else");
	release(e);
	e = identity_environment(&p, &id, strange);
	check(has(e, "TERM=dumb"), "a TERM that is no name of a terminal stays out");
	release(e);
	p.rights.env = (struct words){ asked, 4 };
	e = identity_environment(&p, &id, caller);
	check(has(e, "LANG=de") && has(e, "A=b=c") && has(e, "EMPTY=") && e[8] == NULL, "--env gives what it names");
	release(e);
	p.rights.keep_env = true;
	p.context.init = true;
	e = identity_environment(&p, &id, caller);
	check(has(e, "SECRET=1") && has(e, "A=b=c") && has(e, "container=vrun") && !has(e, "odd") && !has(e, "=odd"),
	      "--keep-env keeps what has a name; --init says what it runs in");
	release(e);
}

int main(void)
{
	words();
	passwd();
	groups();
	environment();
	return failed;
}

/* SPDX-License-Identifier: ISC */
/* enter.c: what one side packs, the other unpacks; anything else is refused. */
#include "../../enter.c"

static int failed, count;

static void check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++count, what);
	failed |= !ok;
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

int main(void)
{
	static char a[] = "a b", none[] = "", b[] = "c\nd", env_a[] = "A=b", env_c[] = "C", term[] = "TERM=x",
		user[] = "user:5", cwd[] = "/x y";
	char *args[] = { a, none, b, NULL }, *env[] = { env_a, env_c, NULL }, *caller[] = { term, env_c, NULL };
	struct enter e = {
		.user = user, .workdir = none, .cwd = cwd, .foreground = true,
		.args = { args, 3 }, .env = { env, 2 }, .caller_env = { caller, 2 },
	}, got, nothing = { 0 };
	char buf[512], small[8] = "untouch";
	size_t n = enter_pack(&e, buf, sizeof(buf));

	check(n < sizeof(buf) && enter_unpack(buf, n, &got), "what was packed is unpacked");
	check(same(got.user, e.user) && same(got.workdir, "") && same(got.cwd, e.cwd) && !got.groups && got.foreground,
	      "texts come out as they went in, none as none");
	check(got.args.n == 3 && same(got.args.v[0], "a b") && same(got.args.v[1], "") && same(got.args.v[2], "c\nd") &&
	      !got.args.v[3], "words, too, empty ones and all, and argv ends in NULL");
	check(got.env.n == 2 && same(got.env.v[1], "C") && got.caller_env.n == 2, "both environments");
	free(got.args.v);
	free(got.env.v);
	free(got.caller_env.v);
	check(enter_pack(&e, small, 0) == n && same(small, "untouch"), "the size is told without writing");
	check(enter_pack(&nothing, buf, sizeof(buf)) == 0 && enter_unpack(buf, 0, &got) && !got.args.n, "nothing is nothing");
	memcpy(buf, "zx", 3);
	check(!enter_unpack(buf, 3, &got), "an unknown tag is refused");
	memcpy(buf, "ux", 3);
	check(!enter_unpack(buf, 2, &got), "so is a word without its end");
	printf("1..%d\n", count);
	return failed;
}

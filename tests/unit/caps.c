/* SPDX-License-Identifier: ISC */
/* caps.c: the lists, and the bounding set that follows from a plan. */
#include "../../caps.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static void lists(void)
{
	static const char *const bad[] = { "", ",", "chown,", ",chown", "chown,,kill", "cap_", "nosuch", "cap_all", "all,chown",
					   "21", "cap_21", "CAP_CAP_KILL", "chown kill", "k\303\244ll", "=ep", "chown+ep",
					   "a_name_that_is_much_longer_than_any_capability_has" };
	uint64_t mask = 1, set;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(caps_parse_list(&mask, bad[i]) && mask == 1, quote(bad[i]));
	set = 0;
	check(!caps_parse_list(&set, "NET_RAW,cap_chown,Cap_Kill") && set == (BIT(13) | BIT(0) | BIT(5)), "any case, with cap_ or not");
	check(!caps_parse_list(&set, "sys_time") && set == (BIT(13) | BIT(0) | BIT(5) | BIT(25)), "a second list adds to the first");
	check(!caps_parse_list(&set, "All") && set == UINT64_MAX, "all");
	check(strcmp(caps_name(21), "SYS_ADMIN") == 0 && strcmp(caps_name(63), "63") == 0, "names");
	set = 0;
	check(!caps_parse_ccap(&set, "set_utsname,userns") && set == (CCAP_SET_UTSNAME | CCAP_USERNS), "ccaps");
	check(caps_parse_ccap(&set, "SET_UTSNAME") && caps_parse_ccap(&set, "") && caps_parse_ccap(&set, "userns,") &&
	      caps_parse_ccap(&set, "user"), "what is none");
}

static void bounds(void)
{
	const uint64_t all = all_caps(), default_no = UINT64_C(0xb04404fb);
	struct plan p = { .context.userns = YES };
	uint64_t here = own_bounding_set();

	check(caps_bound(&p) == (all & ~BIT(CAP_SYS_ADMIN)), "in a user namespace: all but SYS_ADMIN");
	p.rights.cap_drop = BIT(CAP_NET_RAW);
	check(caps_bound(&p) == (all & ~BIT(CAP_SYS_ADMIN) & ~BIT(CAP_NET_RAW)), "without what --cap-drop names");
	p.rights.cap_drop = UINT64_MAX;
	check(caps_bound(&p) == 0, "--cap-drop all: nothing");
	p.rights.cap_add = BIT(CAP_SYS_CHROOT);
	check(caps_bound(&p) == BIT(CAP_SYS_CHROOT), "--cap-drop all --cap-add: what that names");
	p = (struct plan){ .context.userns = NO };
	check(caps_bound(&p) == (default_no & here), "in the host's: the default list");
	p.context.share = NS_PID;
	check(caps_bound(&p) == (default_no & here & ~BIT(CAP_SYS_BOOT)), "no SYS_BOOT in the host's pid namespace");
	p.context.share = 0;
	p.context.join = NS_PID;
	check(caps_bound(&p) == (default_no & here & ~BIT(CAP_SYS_BOOT)), "nor in another guest's");
	p = (struct plan){ .context.userns = NO, .rights.cap_add = all };
	check(caps_bound(&p) == here, "never more than vrun's own bounding set");
}

int main(void)
{
	lists();
	bounds();
	return failed;
}

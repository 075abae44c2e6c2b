/* SPDX-License-Identifier: ISC */
/* A hostile guest's passwd and group, and the words of --user and --groups: ids stay in their range, nothing else. */
#include "../../identity.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span file = { (const char *)data, size };
	gid_t list[16];
	struct user u;
	uint64_t gid;
	struct word user, group, *words = xmalloc(4 * sizeof(*words));
	char *text = xmalloc(size + 1);
	bool have_group;
	size_t n;

	memcpy(text, data, size);
	text[size] = '\0';
	if (find_user(file, "root", 0, 65535, &u) && (u.uid > 65535 || u.gid > 65535 || !span_is(u.name, "root")))
		__builtin_trap();
	if (find_user(file, NULL, 7, 65535, &u) && (u.uid != 7 || u.gid > 65535 || u.name.len == 0))
		__builtin_trap();
	if (find_group(file, "root", 65535, &gid) && gid > 65535)
		__builtin_trap();
	n = find_memberships(file, "root", 65535, list, 16);
	for (size_t i = 0; i < n; i++)
		if (list[i] > 65535)
			__builtin_trap();
	if (!user_parse(text, 65535, &user, &group, &have_group) &&
	    ((user.is_number && user.id > 65535) || (!user.is_number && !user.name[0]) || strchr(text, ' ')))
		__builtin_trap();
	if (!groups_parse(text, 65535, words, 4, &n) && (n == 0 || n > 4))
		__builtin_trap();
	free(words);
	free(text);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* Whatever a caller writes after --bind, --tmpfs, --cow, --device and --disk: taken or refused. A path in the guest that
 * was taken is absolute, without "..", "." and "//", so that nothing later has to ask. */
#include "../../root.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_normal(const char *path)
{
	if (path[0] != '/' || !path[1] || strlen(path) >= PATH_MAX)
		__builtin_trap();
	for (const char *p = path; *p; ) {
		size_t n = strcspn(++p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			__builtin_trap();
		p += n;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct root r = { 0 };
	char *text = xmalloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	root_parse_bind(&r, text);
	root_parse_tmpfs(&r, text);
	root_parse_cow(&r, text);
	root_parse_device(&r, text);
	root_parse_disk(&r, text);
	for (size_t i = 0; i < r.n_bind; i++) {
		is_normal(r.bind[i].dst);
		free(r.bind[i].src);
		free(r.bind[i].dst);
	}
	for (size_t i = 0; i < r.n_tmpfs; i++) {
		is_normal(r.tmpfs[i].dst);
		free(r.tmpfs[i].dst);
	}
	for (size_t i = 0; i < r.n_device; i++) {
		is_normal(r.device[i].path);
		free(r.device[i].path);
	}
	free(r.bind);
	free(r.tmpfs);
	free(r.device);
	free(r.cow);
	free(text);
	return 0;
}

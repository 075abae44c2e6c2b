/* SPDX-License-Identifier: ISC */
/* Any request: the reply is as long as it says, and reads nothing beyond the file's text. */
#include <stdlib.h>

#include "../../fuse.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *context, size_t i, uint32_t pid, bool fresh, struct fuse_file *f)
{
	(void)pid;
	(void)fresh;
	*f = (struct fuse_file){ .text = context, .size = i * 16, .mtime_ns = pid, .valid_ns = 100000000 };
}

static bool is_there(void *context, size_t i)
{
	return context && i < 7;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuse_entry entries[] = {
		{ "a" }, { "meminfo" }, { "online" }, { "loadavg" }, { "net", ENTRY_DIR, 0, NULL },
		{ "tcp", ENTRY_SHOT, 5, NULL }, { "dev", ENTRY_LINK, 5, "../../self/net/dev" },
	};
	uint64_t request[REQUEST_MAX / 8];
	struct fuse_in_header *h = (struct fuse_in_header *)request;
	struct fuse_out_header *out;
	struct fuse_reply r;
	char *text = malloc(5 * 16), sum = 0;
	const struct fuse_tree tree = { entries, 7, text, is_there, look };

	memset(text, 'x', 5 * 16);
	if (size > sizeof(request))
		size = sizeof(request);
	memcpy(request, data, size);
	if (size >= sizeof(*h)) {
		h->len = (uint32_t)size;
		h->opcode %= 64;
	}
	if (fuse_answer(&tree, request, size, &r)) {
		out = (struct fuse_out_header *)r.header;
		if (out->len != sizeof(*out) + r.body_len + r.data_len || r.body_len > sizeof(r.body))
			abort();
		for (size_t i = 0; i < r.data_len; i++)
			sum ^= r.data[i];
	}
	free(text);
	return sum == 1;
}

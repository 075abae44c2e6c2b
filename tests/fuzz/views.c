/* SPDX-License-Identifier: ISC */
/* The kernel's text, any text: parsers and renderers neither read nor write beyond it, and the length that a renderer
 * tells is the length of what it writes. */
#include <stdlib.h>

#include "../../views.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef size_t renderer(char *buf, size_t room, const struct numbers *n, const char *host);

static void render(renderer *f, const struct numbers *n, const char *host)
{
	char small[16];
	size_t len = f(small, sizeof(small), n, host);
	char *all = malloc(len + 1);

	if (f(all, len, n, host) != len || memcmp(all, small, len < sizeof(small) ? len : sizeof(small)))
		abort();
	free(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static renderer *const renderers[] = {
		views_render_meminfo, views_render_swaps, views_render_vmstat, views_render_stat, views_render_cpuinfo,
		views_render_uptime, views_render_loadavg, views_render_diskstats,
	};
	struct numbers n = { .mem_total = size << 20, .swap_total = size, .uptime_ns = size << 30, .tasks = 1 };
	char *text = malloc(size + 1), out[112];

	memcpy(text, data, size);
	text[size] = '\0';
	views_parse_memory_stat(text, size & 1, &n);
	views_parse_io_stat(text, &n);
	views_parse_blkio(text, size & 1, &n);
	views_parse_key(text, "btime");
	if (!views_parse_cpus(text, n.online))
		n.online[0] = size;
	for (size_t i = 0; i < sizeof(renderers) / sizeof(renderers[0]); i++)
		render(renderers[i], &n, text);
	views_sysinfo(out, &n, size & 1);
	free(text);
	return 0;
}

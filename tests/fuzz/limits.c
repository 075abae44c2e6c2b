/* SPDX-License-Identifier: ISC */
/* Whatever a caller writes after the limits' options, and whatever a helper might read as a request of --enter. */
#include "../../limits.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void requests(const uint8_t *data, size_t size)
{
	char *buf = xmalloc(size + 1), *again = xmalloc(size + 1);
	struct enter e;

	memcpy(buf, data, size);
	if (enter_unpack(buf, size, &e) && enter_pack(&e, again, size) > size)
		__builtin_trap();       /* it can't grow: a text that comes twice is there once */
	free(e.args.v);
	free(e.env.v);
	free(e.caller_env.v);
	free(buf);
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct limits l = { 0 };
	char *text = xmalloc(size + 1), *save, *word, *cpuset;

	requests(data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	for (word = strtok_r(text, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
		cpuset = NULL;
		limits_parse_rlimit(&l, word);
		limits_parse_cpus(&l, word);
		limits_parse_cpu_rate(&l, word);
		limits_parse_io(&l, word);
		limits_parse_sysctl(&l, word);
		if ((limits_parse_cpuset(&cpuset, word) == NULL) != (cpuset != NULL))
			__builtin_trap();
		free(cpuset);
		if (l.cpu_quota_us != UINT64_MAX && l.cpu_burst_us > l.cpu_quota_us)
			__builtin_trap();
	}
	for (size_t i = 0; i < l.n_rlimit; i++)
		if (l.rlimit[i].soft > l.rlimit[i].hard)
			__builtin_trap();
	for (size_t i = 0; i < l.n_io; i++)
		free(l.io[i].dev);
	for (size_t i = 0; i < l.n_sysctl; i++) {
		free(l.sysctl[i].key);
		free(l.sysctl[i].value);
	}
	free(l.rlimit);
	free(l.io);
	free(l.sysctl);
	free(text);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* Lists of capabilities: written on success only, and never a bit that no name stands for. */
#include "../../caps.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);
	uint64_t mask = 0, ccap = 0;

	memcpy(text, data, size);
	text[size] = '\0';
	if (caps_parse_list(&mask, text) ? mask != 0 : mask == 0 || (mask != UINT64_MAX && mask >> 41))
		__builtin_trap();
	if (caps_parse_ccap(&ccap, text) ? ccap != 0 : ccap == 0 || ccap >> 9)
		__builtin_trap();
	free(text);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* Any words as argv, any text as --args-file: a plan that holds together, or an error. The words end in a
 * newline each, the text begins after the first NUL; a first byte above 0x7f is an option of the table. */
#include <setjmp.h>
#include <stdarg.h>

#include "vrun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }   /* die() ends a process: nobody frees */

static jmp_buf dead;
static const char *file_text;

static _Noreturn void __attribute__((format(printf, 1, 2))) fuzz_die(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	longjmp(dead, 1);
}

#define die fuzz_die
#define die_sys fuzz_die
#define die_usage fuzz_die
#define read_at(dir_fd, path, buf, size) snprintf(buf, size, "%s", file_text)
#include "../../opts.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096], self[] = "vrun", *argv[64] = { self }, *word, *rest = text;
	struct plan p;
	int argc = 1;

	if (size >= sizeof(text) - 1)
		return 0;
	memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	file_text = text + strlen(text) + (strlen(text) < size);
	while (argc < 63 && (word = strsep(&rest, "\n")))
		argv[argc++] = !(*word & 0x80) ? word :
			xasprintf("--%s=%s", table[(*word & 0x7f) % N_OPTIONS].name, word + 1);
	if (setjmp(dead))
		return 0;
	opts_init(&p);
	opts_parse(&p, argc, argv);
	opts_check(&p);
	if (p.verb > VERB_COMPLETION || (p.args.n && p.args.v[p.args.n]) ||
	    (p.verb == VERB_RUN && (p.context.userns == UNSET || !p.args.n)))
		abort();
	return 0;
}

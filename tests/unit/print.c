/* SPDX-License-Identifier: ISC */
/* Each format against libc's printf: text, length, and what of it fits. */
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int own_vsnprintf(char *text, size_t size, const char *fmt, va_list ap);
int own_vfprintf(FILE *file, const char *fmt, va_list ap);
#define vsnprintf own_vsnprintf
#define vfprintf own_vfprintf
#include "../../print.c"
#undef vsnprintf
#undef vfprintf

static int tests, failures;

static void is_true(bool holds, const char *sentence)
{
	printf("%s %d - %s\n", holds ? "ok" : "not ok", ++tests, sentence);
	failures += !holds;
}

static bool differs;

static void compare(const char *fmt, ...)
{
	va_list ap, again;

	for (size_t size = 0; size < 96; size = size < 20 ? size + 1 : size + 19) {
		char own[128] = "untouched", libc[128] = "untouched";
		int n, n_libc;

		va_start(ap, fmt);
		va_copy(again, ap);
		n = own_vsnprintf(own, size, fmt, ap);
		n_libc = vsnprintf(libc, size, fmt, again);
		va_end(again);
		va_end(ap);
		if (n == n_libc && strcmp(own, libc) == 0)
			continue;
		printf("# '%s' into %zu: '%s' (%d), libc '%s' (%d)\n", fmt, size, own, n, libc, n_libc);
		differs = true;
	}
}

/* Every combination of what is known, with numbers at the ends. */
static void compare_numbers(void)
{
	static const char *const flags[] = { "", "-", "0", "#", "+", "-0", "0#", "+0", "#-", "-+" };
	static const char *const widths[] = { "", "1", "9", "25", ".0", ".3", ".22", "9.4", "4.9", "30.25" };
	static const unsigned long long values[] = { 0, 1, 7, 8, 10, 255, 4096, INT_MAX, UINT_MAX, LLONG_MAX, ULLONG_MAX,
						     1ull << 63 };

	for (size_t i = 0; i < 10 * 10 * 6; i++) {
		const char c = "diuoxX"[i / 100 % 6], *flag = flags[i % 10], *width = widths[i / 10 % 10];
		char fmt[32];

		if ((strchr(flag, '#') && strchr("diu", c)) || (strchr(flag, '+') && !strchr("di", c)))
			continue;                       /* undefined, or of no effect */
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			snprintf(fmt, sizeof(fmt), "<%%%s%s%c>", flag, width, c);
			compare(fmt, (unsigned)values[k]);
			snprintf(fmt, sizeof(fmt), "<%%%s%sl%c>", flag, width, c);
			compare(fmt, (unsigned long)values[k]);
			snprintf(fmt, sizeof(fmt), "<%%%s%sll%c>", flag, width, c);
			compare(fmt, values[k]);
			snprintf(fmt, sizeof(fmt), "<%%%s%sj%c>", flag, width, c);
			compare(fmt, (uintmax_t)values[k]);
			snprintf(fmt, sizeof(fmt), "<%%%s%sz%c>", flag, width, c);
			compare(fmt, (size_t)values[k]);
		}
	}
}

static int to_file(FILE *f, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = own_vfprintf(f, fmt, ap);
	va_end(ap);
	return n;
}

int main(void)
{
	static char big[70000], text[sizeof(big) + 10];
	FILE *f;

	compare_numbers();
	is_true(!differs, "numbers are as libc prints them, with each flag, width, precision and size");
	differs = false;
	compare("plain, %%, and nothing%s", "");
	compare("%s|%5s|%-5s|%.2s|%8.3s|%-8.3s|%.0s|", "abcdef", "abc", "abc", "abcdef", "abcdef", "abcdef", "abc");
	compare("%*s|%-*s|%*s|%.*s|%0*d|%c%-3c|", 6, "ab", 6, "ab", -6, "ab", 2, "abc", 5, -42, 'x', 'y');
	compare("%.*s|%.*d", -1, "all of it", -1, 5);
	is_true(!differs, "texts are as libc prints them, cut where room ends");
	f = fopen("/dev/null", "w");
	memset(big, 'x', sizeof(big) - 1);
	is_true(f && to_file(f, "%s %d\n", big, 17) == (int)sizeof(big) + 3, "a file gets texts of any length");
	f = fmemopen(text, sizeof(text), "w");
	is_true(f && to_file(f, "%s %d", big, 17) && fclose(f) == 0 && !strcmp(text + sizeof(big) - 1, " 17"),
		"and in order");
	f = fopen("/dev/full", "w");
	setbuf(f, NULL);
	is_true(f && to_file(f, "x%d", 1) < 0, "a file that takes nothing is said");
	printf("1..%d\n", tests);
	return failures != 0;
}

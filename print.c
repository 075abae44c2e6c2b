/* SPDX-License-Identifier: ISC */
/*
 * print.c: printf(3) as this program uses it.
 *
 * musl's prints floating point and wide characters too, by way of a FILE: it is a sixth of what is linked of libc,
 * and takes 1,000 instructions for the shortest text. A start formats 70, and each read of a view as many lines. In a
 * static executable a name defined here comes before libc's, and snprintf, printf, fprintf, asprintf and the others
 * of libc all end in one of these two.
 *
 * Flags - 0 # +, width and precision as number or *, sizes l ll z j, conversions d i u o x X c s %. Anything else is a
 * mistake in this program, that no input can bring about, and ends it; tests/unit/print.c compares with libc.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "vrun.h"

struct out { FILE *file; char *text; size_t room, n; };         /* n: also what had no room */
struct args { va_list ap; };
struct spec { bool left, zero, alternative, plus; int width, precision; };

static void put(struct out *o, const char *s, size_t n)
{
	if (o->file)
		fwrite(s, 1, n, o->file);
	else if (o->n < o->room)
		memcpy(o->text + o->n, s, n < o->room - o->n ? n : o->room - o->n);
	o->n += n;
}

static void pad(struct out *o, char c, int n)
{
	for (; n > 0; n--)
		put(o, &c, 1);
}

static void put_text(struct out *o, const struct spec *f, const char *s, size_t n)
{
	if (!f->left)
		pad(o, ' ', f->width - (int)n);
	put(o, s, n);
	if (f->left)
		pad(o, ' ', f->width - (int)n);
}

static void put_number(struct out *o, const struct spec *f, char conversion, uintmax_t v, const char *prefix)
{
	const char *digit = conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	const unsigned base = conversion == 'o' ? 8 : conversion == 'x' || conversion == 'X' ? 16 : 10;
	char text[3 * sizeof(v)], *p = text + sizeof(text);
	int n, zeros, blanks;

	if (f->alternative && base == 16 && v)
		prefix = conversion == 'x' ? "0x" : "0X";
	for (; v; v /= base)
		*--p = digit[v % base];
	n = (int)(text + sizeof(text) - p);
	zeros = (f->precision < 0 ? 1 : f->precision) - n;
	if (f->alternative && base == 8 && zeros < 1)
		zeros = 1;
	if (f->zero && !f->left && f->precision < 0 && zeros < f->width - n - (int)strlen(prefix))
		zeros = f->width - n - (int)strlen(prefix);
	zeros = zeros > 0 ? zeros : 0;
	blanks = f->width - n - zeros - (int)strlen(prefix);
	if (!f->left)
		pad(o, ' ', blanks);
	put(o, prefix, strlen(prefix));
	pad(o, '0', zeros);
	put(o, p, (size_t)n);
	if (f->left)
		pad(o, ' ', blanks);
}

/* A number in the format, or the next argument. */
static int count(const char **fmt, struct args *a)
{
	int n = 0;

	if (**fmt == '*') {
		++*fmt;
		return va_arg(a->ap, int);
	}
	for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
		n = 10 * n + (**fmt - '0');
	return n;
}

static struct spec spec_of(const char **fmt, struct args *a)
{
	struct spec f = { .precision = -1 };

	for (;; ++*fmt) {
		if (**fmt == '-')
			f.left = true;
		else if (**fmt == '0')
			f.zero = true;
		else if (**fmt == '#')
			f.alternative = true;
		else if (**fmt == '+')
			f.plus = true;
		else
			break;
	}
	f.width = count(fmt, a);
	if (f.width < 0) {
		f.left = true;
		f.width = -f.width;
	}
	if (**fmt == '.') {
		++*fmt;
		f.precision = count(fmt, a);
	}
	return f;
}

static uintmax_t number(struct args *a, int longs, bool has_sign)
{
	if (longs >= 2)
		return va_arg(a->ap, uintmax_t);
	if (longs == 1)
		return has_sign ? (uintmax_t)va_arg(a->ap, long) : va_arg(a->ap, unsigned long);
	return has_sign ? (uintmax_t)va_arg(a->ap, int) : va_arg(a->ap, unsigned);
}

/* What follows a %; returns what follows that. */
static const char *convert(struct out *o, const char *fmt, struct args *a)
{
	struct spec f = spec_of(&fmt, a);
	uintmax_t v;
	const char *s;
	char c;
	int longs = 0;

	for (; *fmt == 'l' || *fmt == 'z' || *fmt == 'j'; fmt++)
		longs += *fmt == 'j' ? 2 : 1;           /* size_t is a long wherever Linux is */
	switch (*fmt) {
	case 's':
		s = va_arg(a->ap, const char *);
		s = s ? s : "(null)";
		put_text(o, &f, s, f.precision < 0 ? strlen(s) : strnlen(s, (size_t)f.precision));
		break;
	case 'c':
		c = (char)va_arg(a->ap, int);
		put_text(o, &f, &c, 1);
		break;
	case 'd':
	case 'i':
		v = number(a, longs, true);
		put_number(o, &f, 'd', (intmax_t)v < 0 ? -v : v, (intmax_t)v < 0 ? "-" : f.plus ? "+" : "");
		break;
	case 'u':
	case 'o':
	case 'x':
	case 'X':
		put_number(o, &f, *fmt, number(a, longs, false), "");
		break;
	case '%':
		put(o, "%", 1);
		break;
	default:
		__builtin_trap();
	}
	return fmt + 1;
}

static int print(struct out *o, const char *fmt, va_list ap)
{
	struct args a;

	va_copy(a.ap, ap);
	while (*fmt) {
		const char *end = strchrnul(fmt, '%');

		put(o, fmt, (size_t)(end - fmt));
		fmt = *end ? convert(o, end + 1, &a) : end;
	}
	va_end(a.ap);
	if (o->n <= INT_MAX)
		return (int)o->n;
	errno = EOVERFLOW;
	return -1;
}

int vsnprintf(char *text, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .text = text, .room = size ? size - 1 : 0 };
	int n = print(&o, fmt, ap);

	if (size)
		text[o.n < o.room ? o.n : o.room] = '\0';
	return n;
}

int vfprintf(FILE *file, const char *fmt, va_list ap)
{
	struct out o = { .file = file };
	int n = print(&o, fmt, ap);

	return ferror(file) ? -1 : n;
}

/* SPDX-License-Identifier: ISC */
/*
 * relr.c: the first instructions of a static-pie vrun on x86_64.
 *
 * A position-independent executable begins by adding its own address to every pointer in its tables, 1,300 of
 * them here. The linker writes that list as 24 bytes each, or packed as DT_RELR, which is a hundredth of it. musl
 * applies the packed form since 1.2.4; for those before it (Debian 12 has 1.2.3) it is done here, before musl's
 * own start. That one then finds the list empty, be it able to read it or not.
 *
 * Nothing works yet: no thread pointer, so no stack protector; no pointer in any table; no libc.
 */
#if defined(__x86_64__)
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

extern Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
void relr_apply(void) __attribute__((visibility("hidden"), used));

enum { TAG_RELRSZ = 35, TAG_RELR = 36 };        /* DT_: generic ABI, 2022; not in musl's elf.h */

/* rsp points to argc and is aligned as a call wants it. */
__asm__(".text\n.globl relr_start\n.hidden relr_start\n.type relr_start, @function\n"
	"relr_start:\n\tcall relr_apply\n\tjmp _start\n");

/* An even word is an address; an odd one has a bit for each of the 63 words that follow the last. */
__attribute__((optimize("no-stack-protector"))) void relr_apply(void)
{
	uintptr_t base = (uintptr_t)__ehdr_start;
	const uint64_t *entry = NULL, *end = NULL;
	uint64_t *where = NULL;
	size_t size = 0;

	for (Elf64_Dyn *d = _DYNAMIC; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == TAG_RELR)
			entry = (const uint64_t *)(base + d->d_un.d_ptr);
		if (d->d_tag == TAG_RELRSZ) {
			size = d->d_un.d_val;
			d->d_un.d_val = 0;
		}
	}
	if (!entry)
		return;
	for (end = entry + size / sizeof(*entry); entry < end; entry++) {
		if (!(*entry & 1)) {
			where = (uint64_t *)(base + *entry);
			*where++ += base;
			continue;
		}
		for (uint64_t bits = *entry >> 1; bits; bits &= bits - 1)
			where[__builtin_ctzll(bits)] += base;
		where += 63;
	}
}
#endif

/* SPDX-License-Identifier: ISC */
/* Any answer of sock_diag: nothing is read beyond it, and the text is whole lines, none of which crosses a page. */
#include "../../netsock.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct net_state net = { -1, -1, -1, -1, -1, 7 };
	const struct netsock of = { .net = &net, .id_base = 0x70000000 };
	struct net_config c = { .loopback = htonl(0x7f010101) };
	struct text o = { 0 };
	struct dump d = { .of = &of, .config = &c, .text = &o };
	uint8_t *answer;
	size_t len;

	if (size < 5)
		return 0;
	d.table = &tables[data[0] % TABLES];
	d.take = data[0] & 64 ? take_small : data[0] & 128 ? take_server : show_sock;
	memcpy(&c.flags, data + 1, sizeof(c.flags));
	size -= 5;
	answer = malloc(size + 1);
	memcpy(answer, data + 5, size);
	put_line(d.table, &o, "header");
	take_answer(&d, answer, size);
	len = line_at(d.table, o.lines);
	for (size_t at = 0; at < len; at++)
		if ((at % PAGE == PAGE - 1 || at + 1 == len) && o.s[at] != '\n')
			abort();
	for (size_t i = 1; i <= o.lines; i++)
		if (o.s[line_at(d.table, i) - 1] != '\n' ||
		    line_at(d.table, i) - line_at(d.table, i - 1) > LINE_MAX_BYTES)
			abort();
	if (memchr(o.s, '\0', len))
		abort();
	free(o.s);
	free(d.server);
	free(answer);
	return 0;
}

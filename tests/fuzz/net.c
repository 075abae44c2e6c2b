/* SPDX-License-Identifier: ISC */
/* Whatever a caller writes after --ip, --loopback and --connect-*: taken or refused, never more than that. */
#include "../../net.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net n = { 0 };
	char *text = xmalloc(size + 1), *save, *word;

	memcpy(text, data, size);
	text[size] = '\0';
	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		const char *why = net_parse_ip(&n, word);

		if (!why && n.mode == IP_LIST)
			for (size_t i = 0, len = n.addr[n.n_addr - 1].family == AF_INET ? 4 : 16; i < 1; i++)
				if (memcmp(n.addr[n.n_addr - 1].ip, n.addr[n.n_addr - 1].ip_to, len) > 0)
					__builtin_trap();
		net_parse_loopback(&n, word);
		net_parse_connect_allow(&n, word);
		net_parse_connect_deny(&n, word);
	}
	if (n.n_addr > NET_V4_MAX + NET_V6_MAX || n.n_peer > NET_PEER4_MAX + NET_PEER6_MAX)
		__builtin_trap();
	free(n.addr);
	free(n.peer);
	free(text);
	return 0;
}

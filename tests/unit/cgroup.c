/* SPDX-License-Identifier: ISC */
/* cgroup.c: /etc/subuid, and what names an xid. */
#include "../../cgroup.c"

static int failed, count;

static void check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++count, what);
	failed |= !ok;
}

static void subids(void)
{
	char path[] = "/tmp/vrun-unit.XXXXXX";
	const char *text = "# user:100:1\nuser:131072:65536\nbroken\n:5:\nother:1835008:1000:\nlast:4294967295:1";
	int fd = mkstemp(path);
	struct id_range *r = NULL;
	size_t n;

	write_all(fd, text, strlen(text));
	n = read_subids(path, &r, 0);
	check(n == 2 && r[0].first == 131072 && r[0].count == 65536 && strstr(r[0].where, ":2"), "a line and its number");
	check(n == 2 && strstr(r[1].where, ":6"), "what isn't one is passed over");
	check(overlaps(2, r, n) && !overlaps(3, r, n) && !overlaps(1, r, n), "65536 ids are one context's");
	check(overlaps(65535, r, n) != NULL, "up to the last id");
	n = read_subids("/nonexistent", &r, n);
	check(n == 2, "no file, no ranges");
	for (size_t i = 0; i < n; i++)
		free(r[i].where);
	free(r);
	close_fd(&fd);
	unlink(path);
}

int main(void)
{
	subids();
	check(xid_of("2") == 2 && xid_of("65534") == 65534 && !xid_of("") && !xid_of("1a") && !xid_of("1234567") &&
	      !xid_of("-1") && !xid_of("payload"), "xids are numbers");
	printf("1..%d\n", count);
	return failed;
}

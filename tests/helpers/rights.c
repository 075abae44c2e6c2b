/* SPDX-License-Identifier: ISC */
/*
 * rights: what a process of a guest may not have, tried. "securebits" and "status" print them and
 * /proc/self/status; "regain" prints every way back to root or to a capability that is open; "as ID" and "nofds"
 * run the rest of the arguments as that user, or with 0-2 closed; "with-key" with a key in a session keyring of its own,
 * which "find-key" looks for; so do "shm make|find|remove KEY" with a segment of shared memory.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

static void open_way(const char *what, int worked)
{
	if (worked)
		printf("open: %s\n", what);
}

static int raise_all(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	memset(data, 0xff, sizeof(data));
	return syscall(SYS_capset, &head, data) == 0;
}

static int raise_one(int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data) < 0)
		return 0;
	if (data[cap / 32].permitted & 1u << cap % 32)
		return 0;               /* not a way back: it is there */
	data[cap / 32].permitted |= 1u << cap % 32;
	data[cap / 32].effective |= 1u << cap % 32;
	return syscall(SYS_capset, &head, data) == 0;
}

static void status(void)
{
	char text[8192];
	FILE *f = fopen("/proc/self/status", "r");

	if (f)
		fwrite(text, 1, fread(text, 1, sizeof(text), f), stdout);
}

static void regain(void)
{
	open_way("setuid(0)", setuid(0) == 0);
	open_way("setresuid(-1,0,-1)", setresuid(-1, 0, -1) == 0);
	open_way("setresuid(-1,-1,0)", setresuid(-1, -1, 0) == 0);
	open_way("setresgid(0,0,0)", setresgid(0, 0, 0) == 0);
	open_way("setgroups(0)", setgroups(0, NULL) == 0);
	open_way("capset of everything", raise_all());
	for (int cap = 0; cap <= 40; cap++) {
		open_way("capset of one more", raise_one(cap));
		open_way("an ambient capability", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0);
	}
	open_way("securebits", prctl(PR_SET_SECUREBITS, 1, 0, 0, 0) == 0);
	printf("tried\n");
}

static int add_key(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) > 0 &&
		syscall(SYS_add_key, "user", "vrun-test", "secret", 6, KEY_SPEC_SESSION_KEYRING) > 0;
}

static void find_key(void)
{
	char text[16] = "";
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "vrun-test", 0);

	if (key > 0)
		syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof(text) - 1, 0);
	printf("%s\n", key > 0 ? text : "none");
}

static void shared_memory(const char *what, int key)
{
	int id = shmget(key, 4096, strcmp(what, "make") ? 0 : IPC_CREAT | 0666);

	if (strcmp(what, "remove") == 0)
		shmctl(id, IPC_RMID, NULL);
	printf("%s\n", id < 0 ? "none" : "found");
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "securebits") == 0)
		printf("%#x\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	else if (argc > 1 && strcmp(argv[1], "regain") == 0)
		regain();
	else if (argc > 1 && strcmp(argv[1], "status") == 0)
		status();
	else if (argc > 3 && strcmp(argv[1], "as") == 0) {
		unsigned id = (unsigned)atoi(argv[2]);

		if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
			return 99;
		execv(argv[3], argv + 3);
		return 99;
	} else if (argc > 2 && strcmp(argv[1], "with-key") == 0) {
		if (add_key())
			execv(argv[2], argv + 2);
		return 99;
	} else if (argc > 1 && strcmp(argv[1], "find-key") == 0) {
		find_key();
	} else if (argc > 3 && strcmp(argv[1], "shm") == 0) {
		shared_memory(argv[2], atoi(argv[3]));
	} else if (argc > 2 && strcmp(argv[1], "nofds") == 0) {
		close(0), close(1), close(2);
		execv(argv[2], argv + 2);
	}
	return 0;
}

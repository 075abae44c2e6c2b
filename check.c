/* SPDX-License-Identifier: ISC */
/*
 * check.c: --check, what this kernel and this caller can do, a line a feature.
 *
 * Every line is tried, never guessed from a version: distributions backport, and a sandbox around us may refuse
 * what the kernel has. Each probe runs in a child of its own and ends with it, so that no namespace, mount,
 * program or id stays. A probe returns 0 or the errno; the table says what the feature is for and since when a
 * kernel has it, which is what the answer "no" prints.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/seccomp.h>

static int tried(long r) { return r < 0 ? errno : 0; }

static int probe_privileged(void) { return caps_privileged() ? 0 : EPERM; }
static int probe_namespaces(void) { return tried(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID)); }
static int probe_netns(void) { return tried(unshare(CLONE_NEWNET)); }
static int probe_timens(void) { return tried(unshare(CLONE_NEWTIME)); }
static int probe_cgroupns(void) { return tried(unshare(CLONE_NEWCGROUP)); }
static int probe_userns(void) { return tried(unshare(CLONE_NEWUSER)); }
static int probe_keyring(void) { return tried(syscall(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0)); }

static int probe_mount_api(void)
{
	int fd = sys_open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return tried(fd);
}

/* A user namespace to map by: that of a child which waits for us to end. */
static int probe_idmap(void)
{
	struct compat_mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP };
	char path[64];
	int sync[2], tree, result;
	pid_t pid;

	if (pipe2(sync, O_CLOEXEC) < 0)
		return errno;
	pid = fork();
	if (pid < 0)
		return errno;
	if (pid == 0) {
		char c = 0;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWUSER) < 0)
			_exit(1);
		if (write(sync[1], &c, 1) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	close(sync[1]);
	char c;
	result = read(sync[0], &c, 1) == 1 ? 0 : EPERM;
	if (!result) {
		snprintf(path, sizeof(path), "%d/uid_map", (int)pid);
		if (write_at(host_proc_fd(), path, "0 1879048192 65536") < 0)
			result = errno;
		snprintf(path, sizeof(path), "%d/gid_map", (int)pid);
		if (!result && write_at(host_proc_fd(), path, "0 1879048192 65536") < 0)
			result = errno;
		snprintf(path, sizeof(path), "%d/ns/user", (int)pid);
		a.userns_fd = (uint64_t)openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
		tree = sys_open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		if (!result && (tree < 0 || sys_mount_setattr(tree, "", AT_EMPTY_PATH, &a) < 0))
			result = errno;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return result;
}

static int probe_overlay(void)
{
	int fs = sys_fsopen("overlay", FSOPEN_CLOEXEC);

	return tried(fs);
}

static int probe_clone3(void)
{
	pid_t pid = sys_clone3(0, NULL, -1, SIGCHLD);

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		return errno;
	waitpid(pid, NULL, 0);
	return 0;
}

static int probe_cgroup2(void)
{
	_cleanup_fd_ int tree = hierarchy_tree();

	return tree < 0 ? errno : tried(faccessat(tree, ".", W_OK, 0));
}

static int probe_cgroup_kill(void)
{
	_cleanup_fd_ int tree = hierarchy_tree();
	char name[32], file[48];
	int result;

	snprintf(name, sizeof(name), "vrun-check-%d", (int)getpid());
	snprintf(file, sizeof(file), "%s/cgroup.kill", name);
	if (tree < 0 || mkdirat(tree, name, 0755) < 0)
		return errno;
	result = tried(faccessat(tree, file, F_OK, 0));
	unlinkat(tree, name, AT_REMOVEDIR);
	return result;
}

/* In v1 each controller has a hierarchy, in v2 the root lists them. */
static int probe_controller(const char *name)
{
	_cleanup_fd_ int tree = hierarchy_tree();
	char text[1024], *word, *save = NULL;

	if (tree >= 0 && read_at(tree, "cgroup.controllers", text, sizeof(text)) > 0)
		for (word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
			if (strcmp(word, name) == 0)
				return 0;
	return hierarchy_v1(strcmp(name, "io") == 0 ? "blkio" : name) < 0 ? ENOENT : 0;
}

static int probe_memory(void) { return probe_controller("memory"); }
static int probe_pids(void) { return probe_controller("pids"); }
static int probe_cpu(void) { return probe_controller("cpu"); }
static int probe_cpuset(void) { return probe_controller("cpuset"); }
static int probe_io(void) { return probe_controller("io"); }

static int probe_seccomp(void) { return tried(prctl(PR_GET_SECCOMP)); }

static int probe_notify(void)
{
	struct seccomp_notif_sizes sizes;

	return tried(syscall(__NR_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
}

static int probe_landlock_scope(void)
{
	long abi = syscall(__NR_landlock_create_ruleset, NULL, (size_t)0, 1U /* LANDLOCK_CREATE_RULESET_VERSION */);

	return abi < 0 ? errno : abi < 6 ? EOPNOTSUPP : 0;
}

/* The smallest program of the type the IP layer attaches: r0 = 1; exit. */
static int probe_cgroup_bpf(void)
{
	static const struct bpf_insn allow[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr a = {
		.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR, .expected_attach_type = BPF_CGROUP_INET4_BIND,
		.insns = (uintptr_t)allow, .insn_cnt = 2, .license = (uintptr_t)"",
	};

	return tried(syscall(__NR_bpf, BPF_PROG_LOAD, &a, sizeof(a)));
}

static int probe_fuse(void) { return tried(open("/dev/fuse", O_RDWR | O_CLOEXEC)); }

static const struct feature {
	const char *name, *options;     /* what a user knows it by */
	const char *since;
	int (*probe)(void);
} features[] = {
	{ "start guests", "", "real root", probe_privileged },
	{ "namespaces", "", "Linux 3.8; CAP_SYS_ADMIN", probe_namespaces },
	{ "network namespace", "--ip none", "CONFIG_NET_NS", probe_netns },
	{ "user namespace", "--userns yes", "CONFIG_USER_NS; user.max_user_namespaces", probe_userns },
	{ "time namespace", "--virt uptime", "Linux 5.6; CONFIG_TIME_NS", probe_timens },
	{ "cgroup namespace", "", "Linux 4.6", probe_cgroupns },
	{ "clone3", "", "Linux 5.3; into a cgroup 5.7", probe_clone3 },
	{ "mount by descriptor", "", "Linux 5.2", probe_mount_api },
	{ "idmapped mount of /", "--root with --userns yes", "Linux 5.12 and a filesystem that can", probe_idmap },
	{ "overlayfs", "--cow", "CONFIG_OVERLAY_FS", probe_overlay },
	{ "cgroup2", "", "Linux 4.5", probe_cgroup2 },
	{ "cgroup.kill", "--init, --share pid", "Linux 5.14", probe_cgroup_kill },
	{ "memory controller", "--memory --swap", "a cgroup hierarchy with it", probe_memory },
	{ "pids controller", "--pids", "a cgroup hierarchy with it", probe_pids },
	{ "cpu controller", "--cpus --cpu-weight --cpu-rate", "a cgroup hierarchy with it", probe_cpu },
	{ "cpuset controller", "--cpuset", "a cgroup hierarchy with it", probe_cpuset },
	{ "io controller", "--io", "a cgroup hierarchy with it", probe_io },
	{ "seccomp filter", "--seccomp default", "CONFIG_SECCOMP_FILTER", probe_seccomp },
	{ "seccomp notification", "--ccap set_utsname, raw_icmp", "Linux 5.9", probe_notify },
	{ "session keyring", "", "CONFIG_KEYS", probe_keyring },
	{ "cgroup address programs", "--ip ADDR", "CONFIG_CGROUP_BPF; Linux 5.9, best from 6.1", probe_cgroup_bpf },
	{ "abstract socket scope", "--ip host without --share abstract", "Linux 6.12; landlock in lsm=", probe_landlock_scope },
	{ "FUSE", "--virt mem,cpu,load", "CONFIG_FUSE_FS", probe_fuse },
};

/* 0, or the errno of a probe run in a child; EINTR if it was killed. */
static int in_child(int (*probe)(void))
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		int e = probe();

		_exit(e > 255 ? 255 : e);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

int check_run(const struct plan *p)
{
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		const struct feature *f = &features[i];
		int e = in_child(f->probe);

		if (p->control.json)
			printf("{\"feature\":\"%s\",\"options\":\"%s\",\"available\":%s,\"needs\":\"%s\",\"error\":\"%s\"}\n",
			       f->name, f->options, e ? "false" : "true", f->since, e ? strerror(e) : "");
		else if (e)
			printf("%-24s no: %s; needs %s%s%s%s\n", f->name, strerror(e), f->since, *f->options ? " (" : "",
			       f->options, *f->options ? ")" : "");
		else
			printf("%-24s yes\n", f->name);
	}
	return flush_output();
}

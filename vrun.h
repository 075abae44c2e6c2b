/* SPDX-License-Identifier: ISC */
/*
 * vrun.h: the one header. First what a run is made of (struct plan, filled while
 * parsing and const afterwards), then one section a source file.
 *
 * Four phases, each function belongs to one:
 *   X_parse_*  pure: text to value. Returns NULL, or a static reason why not; writes
 *              its target only on success; no exit, no output, no system call.
 *   X_check    as the caller: cross checks, opens every path the caller named (to an
 *              O_PATH|O_CLOEXEC fd kept in the plan). Ends the program by die().
 *   X_apply    privileged, past the point of return: die() on any failure; only the
 *              supervisor undoes.
 *   X_undo     supervisor only; never dies; safe to call when apply never ran.
 */
#ifndef VRUN_H
#define VRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>

#define VRUN_VERSION "0.1"

enum { EXIT_VRUN = 125, EXIT_NOEXEC = 126, EXIT_NOTFOUND = 127, EXIT_NOGUEST = 3 };
enum { XID_MIN = 2, XID_MAX = 65534, XID_AUTO_MIN = 28672, XID_AUTO_MAX = 32765 };
enum { NAME_MAX_LEN = 64, IDS_PER_GUEST = 65536 };

/* A list of words, as given; parsers own their copies (strdup). */
struct words { char **v; size_t n; };

enum tristate { UNSET, NO, YES };

/* Namespaces (and the one that has no clone flag), as --share, --join name them. */
enum ns_bit {
	NS_MNT = 1, NS_PID = 2, NS_UTS = 4, NS_IPC = 8, NS_NET = 16, NS_CGROUP = 32,
	NS_USER = 64, NS_TIME = 128, NS_ABSTRACT = 256,
};

enum verb {
	VERB_RUN, VERB_LIST, VERB_STATUS, VERB_ENTER, VERB_SET, VERB_STOP, VERB_KILL, VERB_PAUSE,
	VERB_RESUME, VERB_WAIT, VERB_UNIFY, VERB_CHECK, VERB_EXPLAIN, VERB_HELP, VERB_VERSION,
	VERB_COMPLETION,
};

/* ---- the plan, one struct a concern ---- */

struct context {                        /* who the guest is; vrun.c, cgroup.c */
	char *name;                     /* NULL: guest-XID */
	uint32_t xid;                   /* 0: given out by cgroup_claim */
	unsigned share;                 /* NS_* kept from the host */
	unsigned join;                  /* NS_* taken from the guest join_name */
	char *join_name;
	enum tristate userns;           /* after opts_check never UNSET */
	enum { UNTIL_UNSET, UNTIL_COMMAND, UNTIL_LAST } until;
	bool no_enter;
	bool init;                      /* COMMAND is pid 1 */
	char *hostname;                 /* NULL: the name */
	char *cgroup;                   /* --cgroup PATH|self, NULL: /vrun */
};

enum { BIND_RO = 1, BIND_NOEXEC = 2, BIND_SUID = 4, BIND_IDMAP = 8, BIND_NOREC = 16, BIND_TRY = 32 };
struct bind { char *src, *dst; unsigned flags; int src_fd; };     /* src_fd: after root_check; -1: absent and `try` */
struct tmpfs { char *dst; uint64_t size_bytes; unsigned mode; };  /* size 0: the kernel's default; mode 0: 01777 */
struct device { char *path; bool ro; int src_fd; };
struct root {                           /* root.c */
	char *dir;                      /* NULL: the host's own tree */
	int dir_fd;                     /* O_PATH of dir, after root_check */
	bool writable_root, read_only;
	struct bind *bind; size_t n_bind;
	struct tmpfs *tmpfs; size_t n_tmpfs;
	bool tmpfs_none;                /* --tmpfs none */
	char *cow;                      /* a directory, or NULL */
	bool cow_tmpfs; uint64_t cow_tmpfs_bytes;
	int cow_fd;
	struct device *device; size_t n_device;
	char *workdir;                  /* NULL: default */
	uint64_t disk_bytes, disk_inodes; /* --disk: a later issue; refused until then */
};

struct rights {                         /* caps.c, seccomp.c */
	char *user, *groups;            /* as given; resolved in the guest's root by caps_identity */
	struct words env;               /* K=V, or K: taken from the caller */
	bool keep_env;
	uint64_t cap_add, cap_drop;     /* masks, bit = capability number */
	uint64_t ccap;                  /* CCAP_* */
	bool no_new_privs;
	enum { SECCOMP_DEFAULT, SECCOMP_NONE, SECCOMP_FILE } seccomp;
	char *seccomp_file;
	void *seccomp_prog; size_t seccomp_len;         /* struct sock_filter[], after seccomp_check */
};
enum ccap {
	CCAP_SET_UTSNAME = 1, CCAP_RAW_ICMP = 2, CCAP_MULTICAST = 4, CCAP_SYSLOG = 8, CCAP_SECURE_MOUNT = 16,
	CCAP_SET_RLIMIT = 32, CCAP_USERNS = 64, CCAP_OOM_ADJUST = 128, CCAP_QUOTA_CTL = 256,
};

struct addr {                           /* one address; v4 in the first 4 bytes; network byte order */
	uint8_t family;                 /* AF_INET, AF_INET6 */
	uint8_t plen;                   /* prefix length; 32/128 if not given */
	bool have_plen;
	uint8_t ip[16], ip_to[16];      /* ip_to: end of a range, else = ip */
	char dev[16];                   /* @DEV or "" */
};
struct peer { uint8_t family, plen; uint8_t ip[16]; uint16_t port; bool deny; };  /* port 0: any; host order */
struct net {                            /* net.c */
	enum { IP_NONE, IP_HOST, IP_LIST } mode;
	bool given;                     /* --ip was written */
	struct addr *addr; size_t n_addr;
	bool later;                     /* --ip-later */
	bool steered;                   /* after net_check: the broker does UDP's binds */
	bool view;                      /* after the checks: its processes' network only shows, sockets are brokered */
	uint32_t joined; uint64_t joined_id;    /* --join net of a guest with such a view: whose it is (xid, cgroup); else 0 */
	enum { LOOPBACK_AUTO, LOOPBACK_ADDR, LOOPBACK_HOST } loopback;
	uint32_t loopback_addr;         /* network order, for LOOPBACK_ADDR */
	struct peer *peer; size_t n_peer;
	bool deny_none;                 /* --connect-deny none: for --set, an empty list is one, too */
};

struct rlimit_set { int resource; uint64_t soft, hard; };      /* UINT64_MAX: infinity */
struct io_limit {
	char *dev;
	dev_t rdev;                     /* after limits_check */
	uint64_t rbps, wbps, riops, wiops;      /* 0: not given; UINT64_MAX: inf */
};
struct sysctl { char *key; char *value; };
struct limits {                         /* limits.c; 0: not given, UINT64_MAX: inf */
	struct rlimit_set *rlimit; size_t n_rlimit;
	uint64_t memory_bytes, swap_bytes; bool have_swap;
	uint64_t pids;
	uint64_t cpu_quota_us, cpu_period_us, cpu_burst_us;     /* --cpus, --cpu-rate */
	unsigned cpu_weight;
	char *cpuset;
	struct io_limit *io; size_t n_io;
	struct sysctl *sysctl; size_t n_sysctl;
};

enum { VIRT_UPTIME = 1, VIRT_MEM = 2, VIRT_CPU = 4, VIRT_LOAD = 8, VIRT_TIME = 16 };
enum { HIDE_NET = 1, HIDE_MOUNT = 2, HIDE_PROC = 4 };
struct procvirt {                       /* procvirt.c */
	unsigned virt; bool virt_given;
	unsigned hide; bool hide_given;
	bool uptime_host; uint64_t uptime_secs; bool uptime_given;
};

struct control {                        /* vrun.c, tty.c */
	enum { TTY_AUTO, TTY_YES, TTY_NO } tty;
	int *keep_fd; size_t n_keep_fd;
	int status_fd;                  /* -1: none */
	char *pid_file;
	int pid_dir_fd;                 /* its directory, after the check */
	char *helper;
	enum { REBOOT_UNSET, REBOOT_RESTART, REBOOT_EXIT } on_reboot;
	int stop_signal;                /* 0: default */
	uint64_t stop_timeout_ms;       /* 0: default; UINT64_MAX: for ever */
	int kill_signal;                /* --signal; 0: not given */
	bool verbose, quiet, json;
};

struct plan {
	enum verb verb;
	char *target;                   /* the guest a verb names, NAME or xid */
	struct words args;              /* COMMAND and its arguments, or --unify's directories */
	struct context context;
	struct root root;
	struct rights rights;
	struct net net;
	struct limits limits;
	struct procvirt procvirt;
	struct control control;
	struct words unify_opts;        /* --unify's own options, parsed by unify.c */
	uint64_t given[2];              /* opts.c: bit = row of its table that was on the command line */
};

/* ---- util.c: errors, numbers, text, fds. Knows no concern. ---- */

/* One line "vrun: ..." on stderr (or, in a child, over the error pipe to the supervisor) and exit 125,
 * the supervisor undoing first. die_sys appends ": strerror(errno)"; die_code exits with another code. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_sys(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_code(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Usage errors: the line, with "Try 'vrun --help'." at its end, exit 125. */
_Noreturn void die_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* "vrun: ..." on stderr unless -q */
int flush_output(void);                 /* 0, or dies: what was printed on stdout could not be written */
extern bool util_quiet;
/* In a child: die() sends {code, text} here instead of printing. In the supervisor: what undoes (may be NULL). */
extern int util_error_fd;
/* That, at the pipe's other end: 1; 0: the end came first; -1: errno. */
int read_error(int fd, int32_t *code, char *text, size_t size);
extern void (*util_undo)(void);
extern void (*util_failed)(const char *text);   /* told what die() printed, before undoing (may be NULL) */
size_t text_to_json(char *out, size_t room, const char *s);        /* s as the inside of a JSON string; its length */
const char *quote(const char *s);       /* s in single quotes, odd bytes escaped; ring of 8 static buffers */

/* Strict: the whole text, no sign, no blanks, no overflow; [min,max]. NULL or a reason. */
const char *parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out);
const char *parse_size(const char *s, uint64_t *bytes);         /* 64M = 64 MiB; K M G T; "inf": UINT64_MAX */
const char *parse_time_ms(const char *s, uint64_t *ms);         /* 500ms 10s 5m 2h 1d; plain = seconds; "inf" */
const char *parse_bool_word(const char *s, const char *yes, const char *no, bool *out);
const char *parse_signal(const char *s, int *sig);              /* TERM, SIGTERM, 15, RTMIN+3 */
const char *parse_words(const char *s, char sep, struct words *out);    /* "a,b": no empty word; out is appended to */

void *xmalloc(size_t n);                /* die on failure */
void *xrealloc_array(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

bool path_is_in(const char *path, const char *dir);     /* dir itself or something below it; both absolute, no slash at the end */

/* Whole small file, NUL-terminated, trailing newline kept; length, or -1 and errno (EFBIG if it doesn't fit). */
ssize_t read_at(int dir_fd, const char *path, char *buf, size_t size);
int write_at(int dir_fd, const char *path, const char *text);   /* one write(2), O_WRONLY|O_NOFOLLOW; 0 or -1 */
int write_all(int fd, const void *buf, size_t n);
void close_fd(int *fd);                 /* closes if >= 0, sets -1, keeps errno */
#define _cleanup_fd_ __attribute__((cleanup(close_fd)))
int send_fds(int sock, const void *msg, size_t len, const int *fds, size_t n_fds);      /* 0 or -1 */
ssize_t recv_fds(int sock, void *msg, size_t len, int *fds, size_t *n_fds);     /* CLOEXEC; n_fds in: room, out: got */
int memfd_sealed(const char *name, const void *data, size_t len);       /* fully sealed, CLOEXEC; fd or -1 */
void protect_relro(void);               /* main's first act: what was relocated becomes read-only */
uint32_t build_id(void);               /* the beginning of what the linker hashed of this executable, or 0 */
/* A /proc that is procfs for sure (the host's if it is, else a detached mount of our own): O_PATH fd, kept open. */
int host_proc_fd(void);

/* ---- opts.c: the one table. Calls only parsers and checks. ---- */
void opts_init(struct plan *p);         /* defaults, in no-privilege state */
void opts_parse(struct plan *p, int argc, char **argv);         /* argv and --args-file; die_usage on error */
void opts_check(struct plan *p);        /* cross checks between options that need no system call; resolves defaults */
void opts_help(FILE *out);
void opts_synopsis(FILE *out);
void opts_completion(FILE *out);        /* bash */
bool opts_given(const struct plan *p, const char *long_name);

/* ---- caps.c: who we are ---- */
/* main's first act. Setuid entry: undumpable, a clean environment, fds 0-2 open; from here to caps_regain the
 * process is the caller (uid, gid and groups), root only in the saved ids. caps_privileged: may it start guests? */
void caps_acquire(void);
bool caps_privileged(void);
void caps_regain(void);
const char *caps_parse_list(uint64_t *mask, const char *arg);   /* "NET_RAW,cap_chown" or "all" (drop only) */
const char *caps_parse_ccap(uint64_t *mask, const char *arg);
void caps_check(struct plan *p);
uint64_t caps_bound(const struct plan *p);      /* the guest's bounding set */
const char *caps_name(int cap);         /* without CAP_; in a static buffer */
void caps_apply_maker(uid_t uid);       /* builder: user namespaces that it makes are that uid's, not root's; 0: no more */
/* Guest init: bounding set, securebits, inheritable/ambient cleared, each drop read back. Before seccomp_load's NNP. */
void caps_apply_domain(const struct plan *p);   /* guest init, below the barrier: off the files of the host's processes */
void caps_apply_bound(const struct plan *p);
struct identity;
/* COMMAND (and whatever --enter starts): groups, gid, uid, capabilities for a non-root user, no_new_privs; proved. */
void caps_apply_user(const struct plan *p, const struct identity *id);
void caps_apply_blind(void);    /* after that, where an exec follows: nothing that its mode keeps it from can be read */

/* ---- identity.c: whom COMMAND runs as ---- */
struct identity {                       /* what COMMAND runs as, ids as in the guest */
	uid_t uid; gid_t gid;
	gid_t *groups; size_t n_groups;
	char *home, *shell, *user;      /* from the guest's passwd; defaults "/", "/bin/sh", the number */
};
void identity_check(struct plan *p);     /* --user and --groups are words that can be an id or a name */
/* In the guest's root (after the barrier), as guest root: names from its /etc/passwd and /etc/group, read without
 * following anything out. */
void identity_resolve(const struct plan *p, struct identity *id);
char **identity_environment(const struct plan *p, const struct identity *id, char **caller_env);  /* with container=vrun for --init */

/* ---- seccomp.c: the filter; broker.c answers what it notifies ---- */
const char *seccomp_parse(struct rights *r, const char *arg);
void seccomp_check(struct plan *p);     /* opens and reads FILE as the caller; checks it is BPF the kernel takes */
struct sock_filter;
/* Pure: the whole filter for this plan into out; its length, or 0 if none is needed. Sets *notifies. */
size_t seccomp_compile(const struct plan *p, struct sock_filter *out, size_t room, bool *notifies);
/* In guest init, all capabilities still there (so no NNP needed): loads; returns the listener's fd or -1 if none. */
int seccomp_apply(const struct plan *p);
bool seccomp_notifies(const struct plan *p);
/* --seccomp FILE: COMMAND's own filter, the last act before its exec (after caps_apply_user); seccomp_check sets
 * no_new_privs for it. Where another stage of vrun comes between, the filter travels as a memfd (not CLOEXEC; -1:
 * there is none). */
void seccomp_apply_file(const struct plan *p);
int seccomp_file_memfd(const struct plan *p);
void seccomp_apply_memfd(int fd);

/* What procvirt.c shows a guest from. */
enum { VIEW_FILES = 21, VIEW_MOUNTS = VIEW_FILES + 3 };
struct view_source { int dir_fd; bool v1; };    /* a cgroup directory; -1: nobody accounts this for the guest */
struct view {                           /* plain data: travels in the supervisor's state, and to the broker */
	unsigned virt;                  /* VIRT_* */
	int device_fd;                  /* the views' FUSE device, for the poll loop; -1: no files */
	int mount_fd;                   /* detached mount of them, until the builder has taken its pieces */
	int stats_fd;                   /* netlink socket to taskstats; -1: not opened yet */
	int load_fd;                    /* memfd: the load average, shared by supervisor and broker; -1: none */
	int payload_fd, tasks_fd;       /* the guest's own tasks: cgroup2 leaf; a v1 directory, -1: none */
	struct view_source memory, cpu, cpuset, io;
	int64_t monotonic_ns, boottime_ns;      /* offsets of the guest's clocks */
	uint64_t user_base_us, system_base_us, nice_base_us;    /* its cgroup's time when it started (restart) */
	uint32_t told_size[VIEW_FILES]; /* which never shrinks */
	uint16_t stats_family;          /* taskstats' number; 0: the kernel has none */
	bool sockets;                   /* /proc/net is served, too */
	pid_t guest;                    /* whose /proc/PID/net has the names that are shown there; 0: not born yet */
	uint32_t last_pid;              /* highest seen, on the guest's numbers */
};

/* net.c's; travels in the supervisor's state, and to the broker: what must stay open while the guest lives. */
struct net_state { int lookup_link_fd, config_fd, guests_fd, steer_fd, marks_fd; uint64_t guest; bool joined, v6_alone; };

struct broker {                         /* plain data: travels in the sealed memfd of the broker's role */
	int listener_fd;                /* seccomp notify */
	int uts_fd;                     /* guest's uts namespace */
	int net_fd;                     /* guest's view network namespace, -1: none (a later issue) */
	int cgroup_fd;
	uint64_t ccap;
	uint32_t id_base;               /* xid<<16, 0 without user namespace */
	uint32_t xid;
	bool entered;                   /* of one entered command, and ends with it */
	bool net_view;                  /* net_fd only shows: IPv4 and IPv6 sockets are made in the host's namespace */
	bool net_gone;                  /* --join net: with the guest whose addresses they had; there are none any more */
	struct view view;               /* for sysinfo(2) */
	struct net_state net;           /* for ICMP sockets; config_fd -1: no --ip ADDR */
};
/* In the guest's uts and net namespaces; never trusts the guest's memory twice. fill_sysinfo: procvirt_sysinfo,
 * bind_source: net_bind_source, steer: net_steer. */
struct sockaddr;
_Noreturn void broker_main(const struct broker *b, size_t (*fill_sysinfo)(struct view *, void *, bool),
			   void (*bind_source)(const struct net_state *, int, int),
			   void (*steer)(const struct net_state *, int, const struct sockaddr *));

/* ---- root.c: the guest's file tree and the barrier ---- */
const char *root_parse_bind(struct root *r, const char *arg);
const char *root_parse_tmpfs(struct root *r, const char *arg);
const char *root_parse_cow(struct root *r, const char *arg);
const char *root_parse_device(struct root *r, const char *arg);
const char *root_parse_disk(struct root *r, const char *arg);
void root_check(struct plan *p);        /* as the caller: opens dir, sources, cow, devices */
/* What other concerns put into the guest's tree: a file or directory (fd of a detached mount or O_PATH) over an
 * existing path below the root; procvirt fills these, vrun.c hands them on. */
struct overmount { const char *path; int fd; };
struct trees { int root_fd, cow_fd, resolv_fd, cgroup_fd, *bind_fd; };  /* detached copies, by root_take; -1: none */
struct build {                          /* what the builder knows when it builds the tree */
	const struct plan *plan;
	uint32_t id_base;               /* guest's 0 on the host; 0 without user namespace */
	int userns_fd;                  /* for idmapped mounts; -1 without user namespace */
	int pidns_fd;                   /* whose processes /proc shows; -1: the builder's own (--share pid) */
	int cgroup_fd;                  /* becomes /sys/fs/cgroup; -1: none */
	bool cgroup_delegated;          /* --init on v2: writable by the guest */
	bool own_net;                   /* sysfs of its own can be mounted */
	bool want_pty;                  /* open a pty pair in the guest's devpts */
	int pty_master_fd, pty_slave_fd; /* out; -1 if not wanted */
	const struct overmount *over; size_t n_over;
	const uint64_t *cpus;           /* mask: the guest sees these alone; NULL: the host's */
	struct trees trees;
};
/* Builder, still in the host's mount namespace and with plan and cgroup_fd set: copies (detached mounts) of what the
 * caller's fds and cgroup_fd stand for. From another mount namespace the kernel refuses that (open_tree: EINVAL). */
void root_take(struct build *b);
/* Builder: host root in the guest's mount, uts, ipc, net, time namespaces. Makes the tree and goes behind the
 * barrier: afterwards "/" is the guest's root for this process and for all that share its mount namespace after
 * root_enter(). ROOT.md has the order. */
void root_apply(struct build *b);
void root_enter(void);                  /* guest init, after root_apply: chroot("/..") and chdir("/"); see ROOT.md */
void root_workdir(const struct plan *p, const char *caller_cwd); /* COMMAND, as its user: chdir or die */

/* ---- mnt.c: mounts by descriptor; like util.c it knows no concern ---- */
struct mnt_opt { const char *key, *value; };    /* value NULL: a flag; a list ends with key NULL */
int mnt_new(const char *type, const struct mnt_opt *opts, unsigned attr);       /* a detached filesystem; -1 */
int mnt_clone(int dir_fd, const char *path, unsigned flags);    /* a detached copy; AT_RECURSIVE, AT_SYMLINK_NOFOLLOW; -1 */
int mnt_attach(int tree_fd, int dir_fd, const char *path);      /* "": on dir_fd itself; the last symlink isn't followed */
int mnt_set(int tree_fd, unsigned attr, bool recursive);        /* MOUNT_ATTR_*, and private propagation */
void mnt_path(int fd, char *path);      /* of PATH_MAX bytes: the kernel's name of it, from "/" or its mount's top */
uint64_t mnt_id(int fd);
/* Every line of this namespace's mount table, in its order; stops when f returns false. */
struct mnt_line { uint64_t id, parent; unsigned dev_major, dev_minor; char *path, *type; };
void mnt_each(bool (*f)(const struct mnt_line *line, void *arg), void *arg);
struct mnt_line *mnt_below(int fd, size_t *n);  /* copies of the lines of all that is mounted below fd's mount, parents first */
void mnt_free(struct mnt_line *lines, size_t n);

/* ---- mounts.c: what is mounted in the guest's tree, and where it may be; called by root.c alone ---- */
struct tree {                           /* the guest's root while it is built */
	int fd;
	struct stat st;
	bool cow;                       /* missing mount points are made */
	dev_t *own; size_t n_own;       /* tmpfs of the guest's own: mount points are made there too */
	int blank_fd;                   /* the scratch tmpfs: an empty file and an empty directory to cover with */
	struct mnt_line *below; size_t n_below; /* what came along mounted in it; path NULL: taken out again */
	unsigned n_stacked;             /* mounts over "/" that are not the guest's root */
	int dev_fd, pts_fd;             /* -1: a root without /dev */
};
void mounts_apply(struct build *b, struct tree *t);
/* An O_PATH descriptor in the guest's tree; `how`: RESOLVE_* beside RESOLVE_IN_ROOT. -1. */
int mounts_resolve(const struct tree *t, const char *path, uint64_t flags, uint64_t how);
int mounts_find(const struct tree *t, const char *path, uint64_t id);     /* O_PATH; -1: another mount covers it */
bool mounts_in_own(const char *path);   /* /dev, /proc, /sys, or below them? */

/* ---- guestfs.c: the guest's own /dev, /proc and /sys; called by mounts.c ---- */
int guestfs_dev(const struct build *b);         /* each: a detached mount, filled */
int guestfs_pts(const struct build *b);
int guestfs_proc(const struct build *b);
int guestfs_sys(void);
/* What can only be done once they are attached. blank_fd: a directory, attached, with an empty `file` and `dir`. */
void guestfs_cover_proc(const struct build *b, int proc_fd, int blank_fd);
void guestfs_cover_sys(const struct build *b, int sys_fd, int blank_fd);
void guestfs_open_pty(struct build *b, int pts_fd, int dev_fd);         /* dev_fd -1: no /dev */

/* ---- cow.c: the copy-on-write layer; called by root.c alone ---- */
const char *cow_parse(struct root *r, const char *arg);
void cow_check(struct plan *p);
int cow_take(const struct root *r);        /* makes the layer's directories; a detached copy of them */
int cow_mount(const struct build *b, int scratch_fd);   /* detached overlay over b->trees.root_fd */

/* ---- cgroup.c: the guest's directories: identity, entering, killing, removing ---- */
enum { CGROUP_V1_MAX = 12 };
struct cgroup {                         /* plain data: travels in the supervisor's state */
	int tree_fd;                    /* cgroup2 root as vrun sees it */
	int claim_fd;                   /* /vrun/XID: who the guest is (attributes); dir_fd's directory unless --cgroup */
	int lock_fd;                    /* locked while the supervisor lives: never opened, duplicated and closed twice */
	int dir_fd;                     /* guest's directory PARENT/XID: programs, limits; no processes */
	int payload_fd;                 /* leaf the guest lives in: for CLONE_INTO_CGROUP */
	int broker_fd;                  /* leaf of the broker; -1 until cgroup_broker() */
	int kill_fd;                    /* payload/cgroup.kill opened for writing; -1 before Linux 5.14 */
	int v1_dir_fd[CGROUP_V1_MAX];   /* guest's directories in v1 hierarchies that carry limits */
	int v1_tasks_fd[CGROUP_V1_MAX]; /* their `tasks`, opened for writing */
	char v1_name[CGROUP_V1_MAX][16];/* "memory", "cpu", ... */
	unsigned n_v1;
	uint64_t caller_pids;           /* pids limit of the caller's own v2 cgroup, kept by a guest elsewhere; 0: none */
	bool moved;                     /* --cgroup self: the supervisor went into a leaf of its own */
	uint32_t xid;
	uint64_t id;                    /* inode of dir_fd: the cgroup id */
	char name[NAME_MAX_LEN + 1];
	char path[512];                 /* of the guest's directory, from the cgroup2 root */
};
/* Removes what killed supervisors left, 2 to 6 us a guest: all of it at the begin of a verb, and by a supervisor whose
 * guest runs for more than a moment; a start looks at a few while it waits for the builder. */
enum { SWEEP_AT_START = 16, SWEEP_ALL = INT32_MAX };
extern void (*cgroup_dead)(const struct cgroup *cg);    /* what else a dead guest left; before its directory goes */
void cgroup_sweep(unsigned at_most);
void cgroup_claim(struct plan *p, struct cgroup *cg);   /* xid and name, atomically; directories; attributes */
void cgroup_publish_addresses(const struct plan *p, struct cgroup *cg); /* --set --ip */
void cgroup_publish(struct cgroup *cg, pid_t init, int ctl_fd, const struct plan *p);   /* attributes known late */
void cgroup_enter(const struct cgroup *cg);     /* guest init, single-threaded: "0" to each v1 `tasks` */
void cgroup_limit_nesting(const struct cgroup *cg);     /* how many cgroups may be below the guest's */
void cgroup_delegate(const struct cgroup *cg, uint32_t id_base);        /* --init: the payload is the guest's to divide */
int cgroup_broker(struct cgroup *cg);   /* makes the broker's leaf on first use; its fd */
bool cgroup_populated(const struct cgroup *cg);
unsigned cgroup_count(const struct cgroup *cg); /* processes in the payload */
typedef void cgroup_visit(pid_t pid, void *context);
void cgroup_each(const struct cgroup *cg, cgroup_visit *visit, void *context);  /* for each process of the payload */
void cgroup_kill(const struct cgroup *cg);      /* SIGKILL to all in the payload, thawed; returns at once */
void cgroup_renew(struct cgroup *cg);   /* an empty payload in place of the old one; kills what is left in that */
void cgroup_undo(struct cgroup *cg);    /* kills, waits until empty, removes all directories */
void cgroup_close(struct cgroup *cg);   /* the fds only */
ssize_t cgroup_attr(const struct cgroup *cg, const char *key, char *buf, size_t size);  /* NUL-terminated; -1: none */
int cgroup_set_attr(const struct cgroup *cg, const char *key, const char *value);
void cgroup_must_set_attr(const struct cgroup *cg, const char *key, const char *value);
size_t cgroup_xids(uint32_t **out);     /* all that are claimed */
bool cgroup_open(uint32_t xid, struct cgroup *cg);      /* a guest that is there */
bool cgroup_find(const char *name_or_xid, struct cgroup *cg);
bool cgroup_started(const struct cgroup *cg);   /* false: its supervisor is still at it */
pid_t cgroup_supervisor(const struct cgroup *cg);       /* 0: dead; -1: in a pid namespace out of sight */
pid_t cgroup_init(const struct cgroup *cg);     /* guest init, as long as it is one of the guest's; else 0 */
void cgroup_refresh(struct cgroup *cg); /* v1 directories that --set has added since */
bool cgroup_freeze(const struct cgroup *cg, bool freeze);
bool cgroup_frozen(const struct cgroup *cg);
void cgroup_require(const struct plan *p, struct cgroup *cg);   /* --set: directories for limits it had none of */
int cgroup_lock_set(const struct cgroup *cg);   /* waits; until it is closed; -1: the guest has ended */
void cgroup_outlast_set(const struct cgroup *cg);       /* the supervisor, before it undoes */
void cgroup_changing(const struct cgroup *cg, bool changing);

/* hierarchy.c, the second file of this room */
int hierarchy_dir(int dir_fd, const char *name);        /* opens a directory, no link; CLOEXEC */
int hierarchy_tree(void);               /* cgroup2's root; mounted by ourselves, without a name, if nobody has; -1 */
bool hierarchy_has_v1(void);                    /* some v1 hierarchy is mounted somewhere */
int hierarchy_v1(const char *controller);       /* root of the v1 hierarchy that has it; stays open; -1: none */
int hierarchy_below(int root_fd, const char *path);     /* "/a/b" below a root: no link, no way up */
/* "/a/b", where a process (0: ourselves) is: in a controller's v1 hierarchy, or (NULL) in cgroup2. */
bool hierarchy_path_of(pid_t pid, const char *controller, char *out, size_t size);
/* What the plan's limits need; v1 directories are made below those of supervisor (0: our own). */
void hierarchy_controllers(const struct plan *p, struct cgroup *cg, const char *parent, pid_t supervisor);
void hierarchy_step_back(struct cgroup *cg);
bool hierarchy_populated(int dir_fd);
unsigned hierarchy_each(int dir_fd, cgroup_visit *visit, void *context);        /* each process, also in what is below; their number */
void hierarchy_kill(int dir_fd, int kill_fd);
bool hierarchy_wait(int dir_fd, const char *event, int timeout_ms);     /* for a line of cgroup.events; true: it came */
enum { HIERARCHY_DEPTH = 32 };          /* how deep a guest may nest in a delegated payload */
int hierarchy_remove(int parent_fd, const char *name);  /* with all below */
int hierarchy_remove_by_fd(int dir_fd, const char *name);
void hierarchy_remove_leaf(int parent_fd);      /* of --cgroup self's supervisors, if the last is gone */
bool hierarchy_caller_is_limited(struct cgroup *cg, const char *own);   /* also sets caller_pids */

/* ---- limits.c: what a guest may use; written into cgroup.c's directories before the guest is born ---- */
const char *limits_parse_rlimit(struct limits *l, const char *arg);
const char *limits_parse_cpus(struct limits *l, const char *arg);
const char *limits_parse_cpu_rate(struct limits *l, const char *arg);
const char *limits_parse_cpuset(char **out, const char *arg);
const char *limits_parse_io(struct limits *l, const char *arg);
const char *limits_parse_sysctl(struct limits *l, const char *arg);
void limits_check(struct plan *p);
void limits_apply(const struct plan *p, struct cgroup *cg);     /* all or die, naming flag and controller */
void limits_set(const struct plan *p, struct cgroup *cg);       /* the same on a running guest, to be undone by: */
void limits_set_undo(void);
void limits_apply_rlimits(const struct plan *p, pid_t pid);     /* prlimit(2) as host root on guest init */
/* What a guest has used. ABSENT: this kernel doesn't tell. */
#define ABSENT UINT64_MAX
struct usage {
	uint64_t cpu_user_us, cpu_system_us, throttled, throttled_us, bursts, burst_us;
	uint64_t memory_bytes, memory_peak_bytes, memory_limit_bytes, memory_hits, oom_kills;
	uint64_t swap_bytes, swap_limit_bytes;
	uint64_t pids, pids_peak, pids_limit, pids_hits;
	uint64_t io_read_bytes, io_write_bytes;
};
void limits_usage(const struct cgroup *cg, struct usage *u);
/* The limits that hold, as text for --status; "" if there is none. */
struct sched_text { char quota[64], burst[32], weight[32], cpuset[256], io[2048]; };        /* io: lines */
void limits_sched(const struct cgroup *cg, struct sched_text *t);
void limits_apply_sysctl(const struct plan *p);                 /* in the guest's ipc namespace, as host root */

/* ---- guests.c: the verbs on running guests ---- */
int guests_verb(struct plan *p);        /* the exit status */
/* Fds and ids of running guest NAME for --join; die if there is none or it isn't the caller's. */
struct guest_ref { pid_t init; int pidfd; uint32_t id_base; bool userns; char name[NAME_MAX_LEN + 1]; };
void guests_find(const char *name, struct guest_ref *g);
void guests_check_join(struct plan *p);  /* --join net: what kind of network that is (p->net) */
bool guests_addresses(const struct cgroup *cg, struct net *net);        /* what it has now, for a plan's own */
uint32_t guests_id_base(pid_t init);    /* what its 0 is on the host: not xid<<16 if it joined another's user namespace */

/* ---- net.c: the IP layer ---- */
const char *net_parse_ip(struct net *n, const char *arg);
const char *net_parse_loopback(struct net *n, const char *arg);
const char *net_parse_connect_allow(struct net *n, const char *arg);
const char *net_parse_connect_deny(struct net *n, const char *arg);
void net_check(struct plan *p);
bool net_device_is_taken(const struct plan *p); /* an ADDR@DEV is there already: a dead guest's, perhaps, so sweep */
/* Supervisor, before the guest is born: programs loaded or found, attached to cg->dir_fd, configuration filled. */
void net_apply(const struct plan *p, const struct cgroup *cg, struct net_state *st);
void net_apply_own(const struct plan *p, uint32_t id_base);     /* builder, in the guest's own netns (--ip none): lo up, sysctls */
void net_apply_scope(const struct plan *p);     /* guest init: Landlock scope for abstract UNIX sockets, when the netns is the host's */
void net_undo(struct net_state *st, const struct cgroup *cg);
/* Supervisor: the broker's part of a running guest's network, for a guest that joins it. */
void net_join(const struct cgroup *cg, struct net_state *st);
/* Broker: an ICMP socket gets the guest's first address, the list being what it is now. */
void net_bind_source(const struct net_state *st, int sock_fd, int family);
/* Broker: what is sent to the addresses of a UDP socket that was just bound to `asked` goes to it. */
void net_steer(const struct net_state *st, int sock_fd, const struct sockaddr *asked);
void net_sweep(const struct cgroup *cg);        /* what a killed supervisor left on devices; before its cgroup directory goes */
void net_update(const struct plan *p, const struct cgroup *cg);         /* --set: the lists of a running guest */
void net_update_undo(void);
struct net_config;
bool net_config(const struct net_state *st, struct net_config *c);      /* as it is now; false: no --ip ADDR */
struct net_counters;
bool net_counters(int dir_fd, struct net_counters *sum);        /* false: it has no --ip ADDR */
void net_peers(int dir_fd, char *out, size_t room);     /* --status: "deny 10.0.0.0/8", "allow [::/0]:80", a line each */
void net_check_inherited(const struct plan *p); /* sockets among fds 0-2 and --keep-fd */

/* ---- views.c: the kernel's text to numbers, numbers to a guest's text. Pure; knows no concern ---- */
enum { VIEWS_CPU_WORDS = 128 };         /* 8192 CPUs: the most that Linux is built for (CONFIG_NR_CPUS) */
struct stat_line { const char *name; size_t len; uint64_t value; };
struct disk_numbers { uint32_t major, minor; uint64_t read_bytes, write_bytes, reads, writes; };
struct numbers {                        /* what a guest's views are rendered from */
	uint64_t mem_total, mem_used, swap_total, swap_used;    /* bytes */
	struct stat_line memory[128]; size_t n_memory;          /* memory.stat, in cgroup2's words */
	uint64_t online[VIEWS_CPU_WORDS];       /* as many as the quota is worth, of */
	uint64_t allowed[VIEWS_CPU_WORDS];      /* where its tasks may run: what sched_getcpu(3) may say */
	uint64_t user_us, nice_us, system_us;
	uint64_t uptime_ns;
	int64_t boot_offset_secs;               /* of the guest's boottime clock against the host's */
	uint64_t load[3];                       /* 11 bits of fraction, as the kernel's avenrun */
	unsigned running, blocked, tasks, last_pid;
	struct disk_numbers disk[32]; size_t n_disk;
};
struct load { uint64_t at_ns, avg[3]; };
uint64_t views_parse_key(const char *text, const char *key);
bool views_parse_cpus(const char *text, uint64_t mask[VIEWS_CPU_WORDS]);
void views_parse_memory_stat(const char *text, bool v1, struct numbers *n);     /* keeps pointers into text */
void views_parse_io_stat(const char *text, struct numbers *n);
void views_parse_blkio(const char *text, bool bytes, struct numbers *n);
unsigned views_count_cpus(const uint64_t mask[VIEWS_CPU_WORDS]);
void views_first_cpus(const uint64_t allowed[VIEWS_CPU_WORDS], unsigned n, uint64_t out[VIEWS_CPU_WORDS]);
bool views_load_tick(struct load *l, uint64_t now_ns, uint64_t active);
/* As snprintf(3): the length of the whole text, of which `room` bytes are in buf; no NUL. host: the host's file. */
size_t views_render_meminfo(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_swaps(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_vmstat(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_stat(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_cpuinfo(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_uptime(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_loadavg(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_diskstats(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_zeros(char *buf, size_t room, const struct numbers *n, const char *host);
size_t views_render_cpulist(char *buf, size_t room, const uint64_t mask[VIEWS_CPU_WORDS]);
size_t views_render_cpumap(char *buf, size_t room, const uint64_t mask[VIEWS_CPU_WORDS]);
size_t views_sysinfo(void *out, const struct numbers *n, bool abi_32);

/* ---- fuse.c: a small tree of generated files over FUSE; knows no concern ---- */
/* ENTRY_SHOT: whoever opens it has the text of that moment, and goes on in it. */
enum fuse_kind { ENTRY_FILE, ENTRY_SHOT, ENTRY_DIR, ENTRY_LINK };
struct fuse_entry {                     /* dir: in which one; 0: the root, else 1 + its index */
	const char *name;
	uint8_t kind, dir;
	const char *target;             /* of a link */
};
struct fuse_file { const char *text; size_t size; uint64_t mtime_ns, valid_ns; };
struct fuse_tree {
	const struct fuse_entry *entry; size_t n;
	void *context;
	bool (*is_there)(void *context, size_t i);
	/* What file i is now. fresh: attributes are asked for, a new generation may begin; else the one that was last
	 * told, whose text is read. pid: who asks, on the mounter's numbers; 0: unknown. */
	void (*look)(void *context, size_t i, uint32_t pid, bool fresh, struct fuse_file *f);
};
struct fuse_reply {
	uint64_t header[2];
	char body[4096] __attribute__((aligned(8)));
	size_t body_len;
	const char *data; size_t data_len;
};
bool fuse_answer(const struct fuse_tree *t, const void *request, size_t n, struct fuse_reply *r);
bool fuse_serve(int fd, const struct fuse_tree *t);     /* never waits; false once the connection is gone */
int fuse_mount(int *device_fd, const char **what);
int fuse_pieces(int mount_fd, const char *const *names, size_t n, int *fds);

/* ---- netprog.c: net.c's tool: the address programs, as instructions ---- */
enum { NET_V4_MAX = 16, NET_V6_MAX = 8, NET_PEER4_MAX = 8, NET_PEER6_MAX = 8 };
enum net_flag {
	NET_READY = 1,                  /* storage begins as zeroes: without this everything is refused */
	NET_LOW_PORTS = 2,              /* ports below 1024 need no capability (the bit of bind's return value) */
	NET_V4 = 4, NET_V6 = 8,         /* it has addresses of this family */
	NET_RAW_ICMP = 16, NET_MULTICAST = 32,
	NET_SEVERAL = 64,               /* more than one address: a wildcard is shown as a wildcard */
	NET_LATER = 128,                /* addresses may come and go: wildcards live on the loopback */
	NET_LOOPBACK_HOST = 256, NET_LOOPBACK6 = 512,
	NET_PEERS = 1024, NET_ALLOWED_ONLY = 2048,
	NET_UDP_STEERED = 4096,         /* a broker does the binds of UDP sockets */
	NET_TCP_STEERED = 8192,         /* the kernel's own table may not have what listens for an address */
};
/* What differs between guests: one value a guest in a cgroup storage map. IPv4 addresses are in network order
 * except in lo and broadcast; IPv6 halves are numbers in host order except in addr. */
struct net_slot4 { uint32_t lo, count, addr, mask, broadcast, ifindex; };       /* ifindex: vrun put it there; else 0 */
struct net_slot6 { uint64_t net, lo, more, mask_hi, mask_lo; uint32_t addr[4]; uint32_t ifindex, plen; };
struct net_peer4 { uint32_t net, mask, port, port_mask, deny; };        /* port in network order; denied ones come first */
struct net_peer6 { uint64_t net_hi, net_lo, mask_hi, mask_lo; uint32_t port, port_mask, deny, zero; };
#define NET_LAYOUT 0x76720002U
#define NET_LOOPBACK6_HI 0xfd7672756e000000ULL    /* of every guest's ::1 on the host; below it the xid */
struct net_config {
	uint32_t flags;                 /* NET_* */
	uint32_t loopback;              /* what 127.0.0.1 is on the host's stack */
	uint32_t n_v4, n_v6, n_peer4, n_peer6;
	uint64_t guest;                 /* the guest's cgroup id */
	uint64_t netns;                 /* inode of the network namespace that its addresses are of */
	uint64_t layout;                /* of this struct: NET_LAYOUT, to be changed with it */
	uint64_t loopback6_hi, loopback6_lo;
	uint32_t loopback6[4];
	uint32_t level, zero;           /* of the guest's cgroup; 0: the programs find it */
	struct net_slot4 v4[NET_V4_MAX];
	struct net_slot6 v6[NET_V6_MAX];
	struct net_peer4 peer4[NET_PEER4_MAX];
	struct net_peer6 peer6[NET_PEER6_MAX];
};
struct net_counters {                   /* v4 first; a value a CPU in a map of their own */
	uint64_t tx_bytes[2], tx_packets[2], rx_bytes[2], rx_packets[2];
	uint64_t denied_binds, denied_connects, dropped;
};
/* A socket whose address in the kernel isn't what its program asked for: kind is of these. */
enum net_mark_kind { NET_MARK_WILD = 1, NET_MARK_MOVED = 2, NET_MARK_MAPPED = 4, NET_MARK_LOOPBACK_PEER = 8, NET_MARK_DUAL = 16 };
struct net_mark { uint32_t kind, ip4; uint32_t ip6[4]; uint16_t port, zero; uint32_t zero2; };
/* Who gets a packet to a wildcard (addr 0) or moved listener: key of the sockhash. Port in host order. */
struct net_steer { uint64_t guest; uint32_t addr[4]; uint16_t port; uint8_t protocol, slot; uint32_t zero; };
enum { NET_STEER_V4 = 0, NET_STEER_DUAL = 2, NET_STEER_V6 = 4 };         /* slots, two each */
/* A guest's places, entries, too: this slot, protocol 0, and as port the place. Who gets none isn't entered: with half of
 * them taken that is one socket in 10^9. With its place one has three entries at most: 22 guests fill the table. */
enum { NET_STEER_PLACE = 6, NET_STEER_PLACES = 512, NET_STEER_TRIES = 32, NET_STEER_ENTRIES = 32768 };
struct net_prefix { uint32_t plen; uint8_t ip[16]; };           /* key of the guests map; IPv4 as mapped */
/* In its value, beside a guest's id: UDP sockets of it may be in the table; the address is its loopback; listeners
 * for the address may be in the table alone. */
#define NET_OWNER_UDP (1ULL << 63)
#define NET_OWNER_LOOPBACK (1ULL << 62)
#define NET_OWNER_TCP (1ULL << 61)
enum { NET_OWNER_FLAGS = 3 };           /* how many bits */
#define NET_OWNER(value) ((value) & ~(NET_OWNER_UDP | NET_OWNER_LOOPBACK | NET_OWNER_TCP))
enum net_map { NET_MAP_CONFIG, NET_MAP_COUNTERS, NET_MAP_MARKS, NET_MAP_STEER, NET_MAP_GUESTS, NET_MAP_IDS, NET_MAPS };
enum net_hook {
	NET_CREATE, NET_BIND4, NET_CONNECT4, NET_SENDMSG4, NET_RECVMSG4, NET_PEERNAME4, NET_SOCKNAME4,
	NET_BIND6, NET_CONNECT6, NET_SENDMSG6, NET_RECVMSG6, NET_PEERNAME6, NET_SOCKNAME6,
	NET_SETSOCKOPT, NET_EGRESS, NET_INGRESS, NET_LISTEN, NET_LOOKUP, NET_HOOKS,
};
struct net_hook_kind { const char *name, *since; uint32_t prog_type, attach_type; bool v6_only; };
extern const struct net_hook_kind netprog_hook[NET_HOOKS];
struct bpf_insn;
enum { NETPROG_ROOM = 2048 };
/* Pure: one program. A load of a map has its enum net_map in imm. errnos: refuse with the fitting errno (Linux
 * 6.1) instead of EPERM. The number of instructions. rule_at: NULL, or NETPROG_ROOM pointers that are NULL; where a
 * rule begins it is put in words. */
size_t netprog_compile(enum net_hook hook, bool errnos, struct bpf_insn *out, const char **rule_at);

/* ---- netshow.c: the same for people (--explain -v) ---- */
void netshow_programs(FILE *out, const struct net *n);  /* those that a guest with these addresses gets */

/* ---- netview.c: a network namespace that only shows (--hide net with --ip ADDR) ---- */
void netview_apply(const struct plan *p);       /* builder, still in the host's network namespace: makes it and enters it */
void netview_update(const struct plan *p, int net_fd);  /* --set --ip: the same in a running guest's namespace */

/* ---- netsock.c: which of the host stack's sockets are the guest's, as text (--hide net with --ip ADDR) ---- */
struct netsock {
	const struct net_state *net;
	uint64_t cgroup;                /* id of the broker's, where they are made; 0: there is none yet */
	uint32_t id_base;
	pid_t guest;                    /* a process of the guest's, for its empty tables */
	uint64_t alive_ms;              /* since its start */
};
/* Supervisor: /proc/net/NAME, NAME one of tcp, tcp6, udp, ... sockstat6; to be freed. NULL: none, or not now. */
char *netsock_text(const struct netsock *n, const char *name, size_t *len);

/* ---- netdev.c: net.c's other tool: addresses on the host's devices ---- */
struct netdev_address { uint8_t family, plen; uint8_t ip[16]; uint32_t ifindex; };
struct netdev_address *netdev_list(int family, size_t *n);     /* all here, by devices' numbers (a label is no name); to be freed */
unsigned netdev_prefix(int family, const uint8_t *ip, unsigned otherwise);      /* of that address on the host */
int netdev_add(const struct netdev_address *a);         /* 0, or -1 and errno: EEXIST if it is there already */
int netdev_remove(const struct netdev_address *a);
/* Waits for duplicate address detection: 0; -1 and errno: EADDRINUSE if another host has it, ETIMEDOUT. */
int netdev_settle(const struct netdev_address *a);
void netdev_announce(const struct netdev_address *a);   /* to the neighbours; a device without any needs none */

/* ---- procvirt.c: what the guest sees of the machine ---- */
const char *procvirt_parse_virt(struct procvirt *v, const char *arg);
const char *procvirt_parse_hide(struct procvirt *v, const char *arg);
const char *procvirt_parse_uptime(struct procvirt *v, const char *arg);
void procvirt_check(struct plan *p);
/* Supervisor, once the cgroup and its limits stand and before the builder is forked; again for each restart. Keeps
 * the numbers of cg's descriptors, which stay open for the guest's life. */
void procvirt_open(const struct plan *p, const struct cgroup *cg, struct view *v);
/* Builder: unshare(NEWTIME), offsets; before guest init is born. */
void procvirt_apply_time(const struct plan *p, const struct view *v);
/* Builder, in its own mount namespace, while the supervisor polls device_fd and calls procvirt_serve: the views as
 * detached mounts for root_apply (struct build); how many. */
size_t procvirt_overmounts(const struct view *v, struct overmount *out, size_t room);
/* The same, before: the CPUs that the guest's tasks may be on, in static memory, if that isn't all of them; else NULL. */
const uint64_t *procvirt_cpus(const struct view *v);
/* Supervisor, whenever device_fd is readable or broken; never waits, opens nothing of the guest. */
void procvirt_serve(struct view *v);
/* Supervisor, now and then: controllers that --set has given the guest, which had none of them (cgroup_refresh first). */
void procvirt_refresh(struct view *v, const struct cgroup *cg);
/* Supervisor's: one of the tables of sockets in /proc/net, as text to be freed. NULL: the last one stands. */
extern char *(*procvirt_sockets)(const char *name, size_t *len);
void procvirt_close(struct view *v);    /* what procvirt_open opened; guest init and broker too: the views end when
					 * the last copy of device_fd is closed */
/* Broker: sysinfo(2) as the guest's caller should see it, into 112 bytes; how many of them to write. Once before it
 * enters the guest's network: taskstats is only on the host's. */
size_t procvirt_sysinfo(struct view *v, void *out, bool abi_32);

/* ---- tty.c: the guest's terminal, from the supervisor's side ---- */
struct tty {                            /* plain data: travels in the supervisor's state */
	int master_fd;                  /* -1: no pty, or it is hung up */
	int term_fd;                    /* the caller's terminal, -1: none of 0-2 is one */
	int in_fd, out_fd;              /* where input comes from and output goes: term_fd, or 0 and 1 (--tty yes) */
	int slave_fd;                   /* --init: held open */
	bool slave_on[3];               /* which of the guest's 0-2 are the pty */
	bool eager;                     /* the guest has the terminal whenever we are in its foreground */
	bool shared;                    /* we are in a pipeline: others use the terminal beside us */
	bool own_out;                   /* out_fd is an open file description of ours, non-blocking */
	bool keep_slave;
	bool raw;                       /* the caller's terminal is in raw mode now */
	bool foreground;                /* what we told init last: COMMAND's side has the pty */
	bool probing;
	uint64_t probe_at_ms, probe_wait_ms; /* when to look after a line that lies in the terminal; 0: none does */
	bool stop_passed_on;            /* a stop signal came to us and went to COMMAND */
	bool in_line_begun;
	unsigned char saved[64];        /* struct termios to restore */
	size_t in_len, out_len;         /* read, not yet written */
	unsigned char in_buf[1024], out_buf[4096];
};
void tty_check(const struct plan *p, struct tty *t);    /* as the caller: which of 0-2 are terminals; want a pty? */
bool tty_wanted(const struct tty *t);
void tty_attach(const struct tty *t, int master_fd);    /* builder: the new pty gets the terminal's modes and size */
void tty_start(struct tty *t);          /* once COMMAND runs, in the supervisor */
/* supervisor's poll loop: fills up to 3 pollfds; handles those that are ready */
size_t tty_poll(struct tty *t, void *pollfds, size_t room);
void tty_ready(struct tty *t, const void *pollfds, size_t n);
int tty_timeout_ms(const struct tty *t);        /* when to call tty_ready at the latest; -1: whenever */
void tty_winch(struct tty *t);
void tty_drain(struct tty *t);          /* at the end: what the guest still wrote */
void tty_input_end(struct tty *t);      /* COMMAND is gone, others stay: drains, gives the terminal back */
void tty_stopped(struct tty *t, int sig, int ctl_fd);   /* CTL_STOPPED came: start forwarding, or stop as the shell's job */
void tty_job_signal(struct tty *t, int sig, int ctl_fd);        /* TSTP, TTIN, TTOU, CONT came to the supervisor */
/* A key of the caller's terminal made this signal. Does the guest want the key instead? Then it has got it. */
bool tty_typed(struct tty *t, int sig);
void tty_restore(struct tty *t);        /* the caller's terminal as it was; safe at any time */

/* ---- init.c: guest pid 1 ---- */
/* Messages on the control socket (SOCK_SEQPACKET), both ways. */
enum ctl_type {
	CTL_LISTENER = 1,       /* init -> supervisor, one fd: the seccomp listener (or none) */
	CTL_BORN,               /* builder -> supervisor: guest init was cloned; value = its pid on the host */
	CTL_PTY,                /* builder -> supervisor, one fd: pty master */
	CTL_STARTED,            /* init -> supervisor: COMMAND was forked; value = its pid in the guest */
	CTL_EXIT,               /* init -> supervisor: COMMAND ended; value = wait status, more = enum ctl_left */
	CTL_STOPPED,            /* init -> supervisor: COMMAND stopped; value = signal */
	CTL_SIGNAL,             /* supervisor -> init: value = signal for COMMAND; more 1: for the group that has the pty,
				 * or COMMAND's: what the caller's terminal sends, it sends to groups */
	CTL_CONTINUE,           /* supervisor -> init: SIGCONT to COMMAND's group; value 1: and make it the pty's foreground */
	CTL_END,                /* supervisor -> init: end now, all with it */
	CTL_ENTER,              /* an entering vrun -> init, with the descriptors of enum enter_fd: start one more command */
};
/* After LEFT_ENDS init waits for CTL_END; after LEFT_STAYS (--until last) another CTL_EXIT follows in the end. */
enum ctl_left { LEFT_NONE, LEFT_ENDS, LEFT_STAYS };
struct ctl { uint32_t type; int32_t value; uint32_t more; };
struct init_args {
	const struct plan *plan;
	int ctl_fd;             /* control socket */
	int error_fd;           /* CLOEXEC pipe: die() text, or EOF at exec */
	int pty_slave_fd;       /* -1: none */
	const struct tty *tty;
	sigset_t caller_mask;
	const char *caller_cwd;
	char **caller_env;
	char *args_area; size_t args_len;       /* our own argv on the stack: what /proc/1/cmdline would show the guest */
	int kill_fd;            /* --share pid: cgroup.kill of the payload, else -1 */
	int ro_self_fd;         /* --userns no: a sealed copy of vrun, for the stage before the last exec; else -1 */
	bool entered;           /* not init, but the helper of one entered command */
};
void init_conceal(const struct init_args *a);    /* the builder, before init is born */
_Noreturn void init_main(const struct init_args *a);    /* guest pid 1: fork COMMAND and reap, or become it (--init) */
/* The helper of one entered command, in its place in the guest; fd: enum enter_fd. */
_Noreturn void init_entered(const struct init_args *base, const int fd[]);
_Noreturn void init_exec_role(int argc, char **argv);   /* the stage that runs from the read-only copy: see init.c */

/* ---- supervise.c: the process that waits ---- */
struct supervisor {                     /* plain data: travels in the sealed memfd of the waiting role */
	uint32_t magic;
	uint32_t size;
	pid_t init_pid;                 /* guest init, on the host's numbers; our child */
	pid_t broker_pid, guard_pid;    /* 0: none */
	int net_leaf_fd;                /* --join net: the cgroup where that guest's sockets are made, and ours; -1: our own */
	int ctl_fd;                     /* control socket to guest init; -1 with --init, once COMMAND runs */
	int enter_fd[2];                /* --init: who enters asks us on [0]; [1] is for him to take; else -1 */
	int signal_fd;
	int self_fd;                    /* vrun's own executable, O_PATH, for roles */
	int guard_fd;                   /* write end of the guard's pipe: its EOF is our death; -1: none */
	int status_fd;
	int pid_dir_fd;                 /* directory of --pid-file, -1: none */
	char pid_name[256];
	uint64_t pid_ino;               /* the file we made: only that one is removed */
	bool pid_aside;                 /* it isn't in its place yet */
	bool swept;
	bool init_mode, share_pid, quiet, reexeced;
	bool restartable;               /* --init and --on-reboot restart: reboot(2) starts the guest anew */
	bool stopping, again;           /* TERM came; supervise() returns to start anew */
	bool own_addresses;             /* --ip ADDR: the helper hears of netup and netdown */
	bool helped;                    /* the helper had its startup: it gets its shutdown */
	uint64_t restart_ms[5];         /* the last restarts, oldest first */
	char helper[256];               /* --helper, "": none */
	int stop_signal;
	uint64_t stop_timeout_ms;
	uint64_t stop_deadline_ms;      /* CLOCK_MONOTONIC; 0: not stopping */
	uint64_t start_us;              /* CLOCK_MONOTONIC */
	uint64_t view_refreshed_ms;     /* CLOCK_MONOTONIC; 0: not yet */
	uint64_t broker_window_ms;      /* respawn limit */
	uint64_t broker_retry_ms;       /* no room for one: not before then; 0: none is wanted */
	unsigned broker_count;
	bool have_exit;                 /* CTL_EXIT came: command_status is COMMAND's wait status */
	int command_status;
	sigset_t caller_mask;
	sigset_t early;                 /* signals that came before COMMAND ran: passed on once it does */
	struct cgroup cg;
	struct net_state net;
	struct tty tty;
	struct view view;
	struct broker broker;           /* listener_fd -1: nothing is brokered */
};
void supervise_status(const struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* --pid-file: first under another name, so that what can fail fails before COMMAND runs, and nobody reads half of it. */
void supervise_pid_make(struct supervisor *s);
void supervise_pid_place(struct supervisor *s);
void supervise_guard(struct supervisor *s);     /* forks the guard; before guest init is born */
void supervise_tells(struct supervisor *s);     /* from now on die() says so on s's status line */
void supervise_hooks(struct supervisor *s);     /* from now on die() undoes s and says so on its status line */
void supervise_undo(struct supervisor *s);      /* everything the start made, in reverse; never dies */
void supervise(struct supervisor *s);   /* until the guest ends; exits with its status; returns to restart it */
int supervise_helper(struct supervisor *s, const char *event, bool wait);       /* its wait status; 0 without one */
_Noreturn void supervise_end_by(int wait_status);       /* exit as that status says: code, or the same signal */
_Noreturn void supervise_role(int fd);          /* the re-exec'ed supervisor: takes its state from the sealed memfd */
_Noreturn void supervise_broker_role(int fd);
/* --init: CTL_ENTER came with these descriptors; what makes the child (vrun.c). */
extern void (*supervise_enter)(const int fd[]);
void supervise_extra_broker(struct supervisor *s, int listener_fd);     /* for one entered command's filter */
uint64_t supervise_now_us(void);

/* ---- enter.c: --enter ---- */
/* What comes with CTL_ENTER, in this order. The tty is the pty's slave, and comes only if there is one. */
enum enter_fd {
	ENTER_REPLY,            /* socket: the helper's control socket */
	ENTER_ERROR,            /* pipe: die() text, or EOF at exec */
	ENTER_REQUEST,          /* sealed memfd: struct enter, packed */
	ENTER_STDIN, ENTER_STDOUT, ENTER_STDERR,
	ENTER_TTY, ENTER_FDS
};
struct enter {
	char *user, *groups, *workdir, *cwd;    /* NULL: not given; cwd: the caller's */
	bool foreground;                /* has the pty from the start */
	struct words args, env;         /* no args: the user's shell */
	struct words caller_env;
};
size_t enter_pack(const struct enter *e, char *buf, size_t room);       /* pure; what it takes, written if it fits */
bool enter_unpack(char *buf, size_t len, struct enter *e);      /* pure; e points into buf */
void enter_receive(int request_fd, struct enter *e);    /* guest init's helper */
void enter_check(const struct plan *p); /* as the caller */
int enter_run(struct plan *p, const struct cgroup *cg, int ctl_fd);     /* the command's status; closes ctl_fd */

/* ---- check.c ---- */
int check_run(const struct plan *p);    /* --check: tries each feature in a child, prints a line each; exit status */


#endif

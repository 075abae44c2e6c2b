#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""ptydrive.py SCENARIO: plays a terminal with an interactive shell on it and a person who types.

GUEST is the command that starts a guest, up to and without COMMAND. A scenario that fails says what it saw
and exits 1. What a native command does in the same place is tried first where that isn't obvious ("native"),
so that a scenario can't pass because of the terminal or the shell.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

GUEST = os.environ["GUEST"]
PROMPT = "@@ "
WAIT = float(os.environ.get("PTYDRIVE_WAIT", "15"))


class Failed(Exception):
    pass


class Terminal:
    """A terminal of 80x24 with a shell that has job control and no line editor."""

    def __init__(self, argv=None, rows=24, cols=80):
        self.seen = b""
        pid, fd = pty.fork()
        if pid == 0:
            env = {"PATH": os.environ["PATH"], "TERM": "vt100", "PS1": PROMPT, "HOME": "/"}
            argv = argv or os.environ.get("PTYDRIVE_SHELL", "bash --norc --noprofile --noediting -i").split()
            os.execvpe(argv[0], argv, env)
        self.pid, self.fd = pid, fd
        self.size(rows, cols)

    def size(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        data = text.encode("latin1")
        while data:
            data = data[os.write(self.fd, data):]

    def read(self, seconds):
        """Whether something came."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        self.seen += data
        return bool(data)

    def expect(self, pattern, wait=WAIT):
        """What came up to the end of the first match; it is taken away."""
        until = time.time() + wait
        while True:
            m = re.search(pattern.encode("latin1"), self.seen)
            if m:
                self.seen = self.seen[m.end():]
                return m
            left = until - time.time()
            if left <= 0 or (not self.read(left) and time.time() < until):
                raise Failed("expected %r, saw %r" % (pattern, self.seen[-2000:]))

    def absent(self, pattern, seconds):
        until = time.time() + seconds
        while time.time() < until:
            self.read(until - time.time())
        if re.search(pattern.encode("latin1"), self.seen):
            raise Failed("not expected %r, saw %r" % (pattern, self.seen))

    def prompt(self):
        self.expect("(^|[\r\n])" + PROMPT)

    def run(self, line):
        """A command line, and what it printed."""
        self.type(line + "\n")
        self.expect(re.escape(line) + "\r+\n")
        return self.expect("(?s)^(.*?)" + PROMPT).group(1).decode("latin1").replace("\r", "")

    def modes(self):
        # The shell changes nothing between two prompts; PENDIN is the kernel's own mark.
        m = termios.tcgetattr(self.fd)
        m[3] &= ~termios.PENDIN
        return m

    def is_raw(self):
        return not self.modes()[3] & termios.ICANON

    def until(self, what, condition, wait=WAIT):
        end = time.time() + wait
        while not condition():
            if time.time() > end:
                raise Failed("never: " + what)
            self.read(0.02)

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def check(what, got, want):
    if got != want:
        raise Failed("%s: got %r, want %r" % (what, got, want))


def session(scenario):
    """A shell at its prompt; afterwards its terminal must be as it was."""
    t = Terminal()
    t.prompt()
    before = t.modes()
    scenario(t)
    t.type("echo still-$((40+2))\n")
    t.expect("still-42")
    t.prompt()
    check("the terminal's modes", t.modes(), before)
    check("jobs that are left", t.run("jobs"), "")
    t.close()


def supervisor_pid(t):
    """The one vrun whose parent is the shell (the shell waits in it, or has it as a job)."""
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(t.pid)], capture_output=True, text=True).stdout
    pids = out.split()
    check("supervisors", len(pids), 1)
    return int(pids[0])


def wake_ups(pid):
    """In a second, once what the start left to do is done; a machine that is busy takes its time for that."""
    def count():
        status = open("/proc/%d/status" % pid).read()
        return int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", status).group(1))
    until = time.time() + WAIT
    while True:
        first = count()
        time.sleep(1)
        woken = count() - first
        if not woken or time.time() > until:
            return woken


def lives(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().split()[2] != "Z"
    except OSError:                 # also between open and read
        return False


def runs(*argv):
    """Whether some process is that command, by now: in a guest's terminal, its foreground then."""
    want = "".join(a + "\0" for a in argv).encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if f.read() == want:
                    return True
        except OSError:
            pass
    return False


# --- what a login shows ------------------------------------------------------


def names(t):
    check("native stty size", t.run("stty size"), "24 80\n")
    check("stty size", t.run(GUEST + " stty size"), "24 80\n")
    check("tty", re.sub("[0-9]+", "N", t.run(GUEST + " tty")), "/dev/pts/N\n")
    check("three terminals", t.run(GUEST + " sh -c 'test -t 0 -a -t 1 -a -t 2 && echo all'"), "all\n")
    # Both may be called /dev/pts/0; the devpts tells them apart, and --tty no is where it is the same.
    look = "stat -Lc %d /proc/self/fd/0"
    own = t.run(look)
    check("the caller's terminal with --tty no", t.run(re.sub(" --$", " --tty no -- ", GUEST) + look), own)
    if t.run(GUEST + " " + look) == own:
        raise Failed("the caller's terminal is in the guest")
    check("echo on /dev/tty", t.run(GUEST + " sh -c 'echo seen >/dev/tty'"), "seen\n")


def resize(t):
    t.type(GUEST + " sh -c 'trap \"stty size; exit\" WINCH; echo ready; while :; do sleep 0.1; done'\n")
    t.expect("\nready")
    t.size(33, 101)
    t.expect("33 101")
    t.prompt()
    t.size(24, 80)


def interrupt(t):
    # Once: a second SIGINT would end the counter's sleep a second time.
    t.type(GUEST + " sh -c 'n=0; trap \"n=\\$((n+1)); echo int \\$n\" INT; echo ready; sleep 1; sleep 1; echo end $n'\n")
    t.expect("\nready")
    t.type("\x03")
    t.expect("int 1")
    t.expect("end 1")
    t.prompt()
    t.type(GUEST + " sleep 100\n")
    t.until("raw", t.is_raw)
    t.type("\x03")
    t.prompt()
    check("status", t.run("echo $?"), "130\n")
    # A shell loop ends with it.
    t.type("while :; do " + GUEST + " sh -c 'echo turn; sleep 100'; done\n")
    t.expect("\nturn")
    time.sleep(0.2)
    t.type("\x03")
    t.prompt()
    t.absent("turn", 0.3)


def quit_key(t):
    t.type(GUEST + " sleep 100\n")
    t.until("raw", t.is_raw)
    t.type("\x1c")
    t.prompt()
    check("status", t.run("echo $?"), "131\n")


def quit_key_cooked(t):
    # No shell: busybox's ignores QUIT until it executes something.
    t.type(GUEST + " tail -f /etc/passwd\n")
    t.expect("\nroot:")
    t.type("\x1c")
    t.prompt()
    check("status", t.run("echo $?"), "131\n")


def eof(t):
    t.type(GUEST + " cat\n")
    t.until("raw", t.is_raw)
    t.type("abc\n")
    t.expect("abc\r\nabc\r\n")
    t.type("\x04")
    t.prompt()


# A command that ends in its own way at the key, and not before, however long what comes before takes. (What is typed
# has no "ended" in it.)
UNTIL_INTERRUPTED = " sh -c 'trap \"echo e\"\"nded; exit\" INT; echo ready; while :; do sleep 0.1; done'\n"


# --- job control -------------------------------------------------------------


def suspend(t):
    cooked = t.modes()
    t.type(GUEST + " sh -c 'echo ready; read a; echo got $a; sleep 0.1; exit 5'\n")
    t.expect("\nready")
    t.until("raw", t.is_raw)
    t.type("\x1a")
    t.expect("Stopped")
    t.prompt()
    check("modes while stopped", t.modes(), cooked)
    t.size(30, 90)
    t.type("fg\n")
    t.until("raw", t.is_raw)
    t.type("word\n")
    t.expect("got")
    t.prompt()
    check("status", t.run("echo $?"), "5\n")
    t.size(24, 80)


def background_read(t):
    t.type(GUEST + " sh -c 'echo ready; a=$(head -n 1); echo got-$a' &\n")
    t.expect("ready")
    time.sleep(0.3)
    t.read(0)
    t.seen = b""
    t.type("\n")
    t.prompt()
    check("the shell has its keys", t.run("echo mine"), "mine\n")
    t.until("stopped", lambda: "Stopped" in t.run("jobs"))
    t.type("fg\n")
    t.until("raw", t.is_raw)
    t.type("it\n")
    t.expect("got-")
    t.prompt()


def background(t):
    cooked = t.modes()
    t.type(GUEST + " sh -c 'trap \"exit\" TERM; echo begun; while :; do sleep 0.1; done' &\n")
    t.expect("begun")
    time.sleep(0.2)
    t.read(0)
    t.seen = b""
    t.type("\n")
    t.prompt()
    check("modes", t.modes(), cooked)
    check("the shell has its keys", t.run("echo mine"), "mine\n")
    t.run("kill %1; wait")


def stop_bg_fg(t):
    t.type(GUEST + UNTIL_INTERRUPTED)
    t.expect("\nready")
    t.until("raw", t.is_raw)
    t.type("\x1a")
    t.expect("Stopped")
    t.prompt()
    t.run("bg")
    check("cooked in the background", t.is_raw(), False)
    check("the shell has its keys", t.run("echo mine"), "mine\n")
    t.type("fg\n")
    t.until("foreground", lambda: os.tcgetpgrp(t.fd) != t.pid)
    t.type("\x03")
    t.expect("ended")
    t.prompt()


def pipeline_stop(t):
    """Ctrl-Z where the terminal isn't raw: the guest's command must stop as well."""
    t.type(GUEST + " sh -c 'i=0; while :; do i=$((i+1)); echo n $i; sleep 0.1; done' | cat\n")
    t.expect("n 3")
    t.type("\x1a")
    t.expect("Stopped")
    t.prompt()
    t.until("quiet", lambda: not t.read(0.5))
    t.seen = b""
    t.type("fg\n")
    t.expect("n [0-9]")
    t.type("\x03")
    t.prompt()


def killed_stop(t):
    t.type(GUEST + UNTIL_INTERRUPTED)
    t.expect("\nready")
    t.until("raw", t.is_raw)
    os.kill(supervisor_pid(t), signal.SIGTSTP)
    t.expect("Stopped")
    t.prompt()
    check("cooked", t.is_raw(), False)
    t.type("fg\n")
    t.until("raw", t.is_raw)
    t.type("\x03")
    t.expect("ended")
    t.prompt()


def inner_shell(t):
    """A login: the guest's own shell with its own jobs."""
    t.type(GUEST + " sh -i\n")
    t.until("raw", t.is_raw)
    t.type("PS1='%% '\n")
    t.expect("(\n|\r)%% ")
    seconds = str(100000 + os.getpid())
    t.type("sleep %s\n" % seconds)
    t.until("sleep", lambda: runs("sleep", seconds))
    t.type("\x1a")
    t.expect("Stopped")
    t.type("jobs\n")
    t.expect("sleep " + seconds)
    t.type("kill %1; fg >/dev/null; echo d\"\"one\n")
    t.expect("done")
    t.until("no sleep", lambda: not runs("sleep", seconds))
    t.type("sleep %s\n" % seconds)
    t.until("sleep", lambda: runs("sleep", seconds))
    t.type("\x03")
    t.type("echo a\"\"live\n")
    t.expect("alive")
    t.type("stty size\n")
    t.expect("24 80")
    t.type("exit 9\n")
    t.prompt()
    check("status", t.run("echo $?"), "9\n")


# --- pipes and scripts -------------------------------------------------------


def substitution(t):
    t.run("x=$(" + GUEST + " sh -c 'echo out; echo err >/dev/null')")
    check("x", t.run("echo \"$x\""), "out\n")
    # One reads, which stops it; the other polls first, which nobody sees.
    for reader in "a=$(head -n 1)", "read a":
        t.type("x=$(" + GUEST + " sh -c '" + reader + "; echo \"<$a>\"')\n")
        time.sleep(0.5)
        t.type("typed\n")
        screen = t.expect("(?s)^(.*?)" + PROMPT).group(1)
        check("echoes of what was typed", screen.count(b"typed"), 1)
        check("x", t.run("echo \"$x\""), "<typed>\n")
    t.type("x=$(" + GUEST + " sleep 100); echo not here\n")
    time.sleep(0.7)
    t.type("\x03")
    t.prompt()


def reader_beside(t):
    """`| less`: a reader of /dev/tty in the same pipeline gets every key."""
    t.type(GUEST + " sh -c 'echo line; sleep 1.5' | { read l; read a </dev/tty; echo \"$l got:$a\"; }\n")
    time.sleep(0.5)
    t.type("keys\n")
    t.expect("line got:keys\r\n")
    t.prompt()


def poller_beside(t):
    """A reader beside us that polls, while the guest waits for nothing: no key is lost to us."""
    t.type(GUEST + " sh -c 'echo line; sleep 2' | (read l; sleep 1; read a </dev/tty; echo \"$l got:$a\")\n")
    time.sleep(0.3)
    t.type("early\n")
    t.expect("line got:early\r\n")
    t.prompt()


def terminal_of_pipeline(t):
    """The guest's own reader of /dev/tty, with 0 and 1 elsewhere."""
    for reader in "a=$(head -n 1 </dev/tty)", "read a </dev/tty":
        t.type("echo data | " + GUEST + " sh -c 'read l; " + reader + "; echo \"$l got:$a\"' | cat\n")
        time.sleep(0.5)
        t.type("keys\n")
        t.expect("data got:keys\r\n")
        t.prompt()


def stdin_pipe(t):
    check("stdin a pipe", t.run("printf 'a\\nb\\n' | " + GUEST + " cat"), "a\nb\n")
    check("stdin a pipe, a terminal on 1",
          t.run("printf x | " + GUEST + " sh -c 'test -t 0 || echo pipe; test -t 1 && echo terminal'"),
          "pipe\nterminal\n")
    check("to a file", t.run(GUEST + " echo out >/dev/null"), "")


def newlines(t):
    """In a pipeline the bytes of a line reach the screen as a native command's would: one \\r\\n."""
    t.seen = b""
    t.type(GUEST + " sh -c 'echo one >&2; echo two >&2' | cat\n")
    t.expect("cat\r\n")
    t.expect("^one\r\ntwo\r\n")
    t.prompt()
    t.type(GUEST + " printf 'one\\ntwo\\n'\n")
    t.expect("two.n'\r\n")
    t.expect("one\r\ntwo\r\n")
    t.prompt()


def bulk(t):
    """1 MB through the pty, every byte."""
    t.type("stty -opost\n")
    t.prompt()
    t.type("clear=1; " + GUEST + " sh -c 'stty -opost; echo BEGIN; seq 1 150000; echo END'\n")
    t.expect("\nBEGIN\r?\n")
    got = t.expect("(?s)^(.*)END", wait=60).group(1).decode()
    check("length", len(got), len("".join("%d\n" % i for i in range(1, 150001))))
    check("bytes", got, "".join("%d\n" % i for i in range(1, 150001)))
    t.type("stty opost\n")
    t.prompt()


def paste(t):
    """Typed faster than it is read, and all of it read."""
    lines = "".join("line %d\n" % i for i in range(2000))
    t.type(GUEST + " sh -c 'stty -echo; echo ready; head -n 2000 | sha1sum'\n")
    t.expect("\nready")
    t.type(lines)
    want = subprocess.run(["sha1sum"], input=lines.encode(), capture_output=True).stdout.decode().split()
    t.expect(want[0])
    t.prompt()


def tty_yes(t):
    guest = re.sub(" --$", " --tty yes --", GUEST)
    check("a terminal on all", t.run("echo data | " + guest + " sh -c 'stty -echo; test -t 0 -a -t 1 && cat' | cat"),
          "data\n")
    check("no terminal at all", t.run("(echo data | " + guest + " sh -c 'tty >/dev/null && echo tty' 2>&1 | tr -d '\\r' | tail -n 1) 2>/dev/null"), "tty\n")


# --- endings -----------------------------------------------------------------


def endings(t):
    cooked = t.modes()
    t.run(GUEST + " sh -c 'stty raw -echo; exit 3'")
    check("modes after exit", t.modes(), cooked)
    t.type(GUEST + " sh -c 'stty raw -echo; sleep 100'\n")
    t.until("raw", t.is_raw)
    time.sleep(0.2)
    os.kill(supervisor_pid(t), signal.SIGTERM)
    t.prompt()
    check("modes after TERM", t.modes(), cooked)
    t.type(GUEST + " sh -c 'kill -KILL $$'\n")
    t.expect("Killed|137")
    t.prompt()
    check("modes after the command was killed", t.modes(), cooked)
    for name in ("HUP", "USR1", "INT"):
        t.type(GUEST + " sleep 100\n")
        t.until("raw", t.is_raw)
        os.kill(supervisor_pid(t), getattr(signal, "SIG" + name))
        t.prompt()
        check("modes after " + name, t.modes(), cooked)


def guest_killed(t):
    cooked = t.modes()
    t.type(GUEST + " sleep 100\n")
    t.until("raw", t.is_raw)
    pid = supervisor_pid(t)
    children = open("/proc/%d/task/%d/children" % (pid, pid)).read().split()
    for child in children:          # the builder may still be there
        if re.search(r"\nNSpid:.*\s1\n", open("/proc/%s/status" % child).read()):
            os.kill(int(child), signal.SIGKILL)
    t.prompt()
    check("modes", t.modes(), cooked)


def hangup(t):
    """The terminal goes away: so does the guest."""
    u = Terminal()
    u.prompt()
    u.type(GUEST + " sleep 60\n")
    u.until("raw", u.is_raw)
    pid = supervisor_pid(u)
    u.close()
    end = time.time() + WAIT
    while lives(pid):
        if time.time() > end:
            raise Failed("the supervisor outlives its terminal")
        time.sleep(0.05)


def disowned(t):
    """In the background, it outlives the terminal as any disowned job, and sleeps."""
    u = Terminal()
    u.prompt()
    u.type(GUEST + " sh -c 'echo up; sleep 60; cat' & disown -a\n")
    u.expect("up\r")
    time.sleep(0.2)
    pid = supervisor_pid(u)
    u.type("exit\n")
    u.until("the shell has ended", lambda: not u.read(0.05))
    u.close()
    time.sleep(0.3)
    if not lives(pid):
        raise Failed("it went with the terminal")
    check("wake-ups in a second", wake_ups(pid), 0)
    os.kill(pid, signal.SIGTERM)
    end = time.time() + WAIT
    while lives(pid):
        if time.time() > end:
            raise Failed("TERM doesn't end it")
        time.sleep(0.05)


def orphan(t):
    """Nobody could continue us: a reader is told that there is no more, and doesn't ask for ever."""
    out = t.run("setsid -w sh -c '" + GUEST + " cat; echo status $?' </dev/null")
    check("output", out, "status 0\n")
    t.type("(" + GUEST + " sh -c \"sleep 0.5; cat; echo ended\" & ) \n")
    t.prompt()
    t.expect("ended")


def vi(t):
    t.type(GUEST + " busybox vi /tmp/ptydrive.$$\n")
    t.until("raw", t.is_raw)
    t.expect("~")
    t.type("ihello there\x1b")
    t.expect("hello there")
    t.type(":q!\r")
    t.expect(PROMPT)


def idle(t):
    """A supervisor that waits uses no CPU, whatever its terminal does."""
    t.type(GUEST + " sleep 100\n")
    t.until("raw", t.is_raw)
    check("wake-ups in a second", wake_ups(supervisor_pid(t)), 0)
    t.type("\x03")
    t.prompt()


if __name__ == "__main__":
    todo = sys.argv[1:] or [n for n, f in globals().items() if callable(f) and getattr(f, "__code__", None)
                            and f.__code__.co_varnames[:1] == ("t",) and n != "supervisor_pid"]
    failed = 0
    for name in todo:
        started = time.time()
        try:
            session(globals()[name])
            if len(todo) > 1:
                print("ok", name, "%.1f s" % (time.time() - started), flush=True)
        except Failed as e:
            print(name + ":", e, flush=True)
            failed = 1
    sys.exit(failed)

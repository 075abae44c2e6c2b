"""suite.py PROCESSES[,RESOURCE] MODULE...: CPython's own tests, a line "name outcome" each, shared out among processes.

No VSOCK: those talk to whatever hypervisor there is, which may not answer.
"""
import os
import sys
import tempfile
import unittest

import test.support


class Lines(unittest.TestResult):
    to = os.dup(1)                              # the tests print, too

    def say(self, test, outcome):
        name = test.id() if isinstance(test, unittest.TestCase) else test       # else: what couldn't be set up
        os.write(self.to, f"{name} {outcome}\n".encode())

    def addSuccess(self, test):
        self.say(test, "ok")

    def addSkip(self, test, reason):
        self.say(test, "skipped: " + " ".join(reason.split()))

    def addExpectedFailure(self, test, error):
        self.say(test, "ok")

    def addFailure(self, test, error):
        self.say(test, "FAILED: " + repr(error[1]).replace("\n", " "))

    addError = addFailure

    def addUnexpectedSuccess(self, test):
        self.say(test, "FAILED: unexpected success")


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        elif "VSOCK" not in test.id():
            yield test


processes, *test.support.use_resources = sys.argv[1].split(",")     # by default no network to ask elsewhere
processes = int(processes)
classes = {}
for case in flat(unittest.TestLoader().loadTestsFromNames(sys.argv[2:])):
    classes.setdefault(type(case), []).append(case)
classes = sorted(classes.values(), key=len)
for n in range(processes):
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        with tempfile.TemporaryDirectory() as own:
            os.chdir(own)
            unittest.TestSuite(map(unittest.TestSuite, classes[n::processes])).run(Lines())
            os.chdir("/")
        os._exit(0)
for n in range(processes):
    os.wait()

"""suite.py PROCESSES MODULE...: CPython's own tests, a line "name outcome" each, shared out among processes.

No VSOCK: those talk to whatever hypervisor there is, which may not answer.
"""
import os
import sys
import tempfile
import unittest

import test.support


class Lines(unittest.TestResult):
    def say(self, test, outcome):
        if isinstance(test, unittest.TestCase):
            os.write(1, f"{test.id()} {outcome}\n".encode())
        else:                                   # a class or module that couldn't be set up
            os.write(1, f"{test} {outcome}\n".encode())

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


processes = int(sys.argv[1])
test.support.use_resources = ()                 # nothing outside this machine
classes = {}
for case in flat(unittest.TestLoader().loadTestsFromNames(sys.argv[2:])):
    classes.setdefault(type(case), []).append(case)
classes = sorted(classes.values(), key=len)
for n in range(processes):
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, 2)
        with tempfile.TemporaryDirectory() as own:
            os.chdir(own)
            unittest.TestSuite(map(unittest.TestSuite, classes[n::processes])).run(Lines())
            os.chdir("/")
        os._exit(0)
for n in range(processes):
    os.wait()

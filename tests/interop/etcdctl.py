"""Runs Debian's etcdctl and etcd, and makes what they print comparable between servers."""

import os
import re
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TESTS, "cluster"))

import cluster  # noqa: E402

LIMIT_SECONDS = 30

# What may differ between two right answers: identities, terms, sizes, times, addresses.
DIFFERENCES = (
    (r'"(cluster_id|member_id|raft_term|ID|id)":\d+', r'"\1":N'),
    (r'"(ClusterID|MemberID|RaftTerm|ID)" : \d+', r'"\1" : N'),
    (r'"(Lease)" : [1-9]\d{9,}', r'"\1" : N'),
    (r"\b[0-9a-f]{12,16}\b", "ID"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"took = \S+", "took = TIME"),
    (r'"ts":"[^"]*"', '"ts":"TIME"'),
    (r"remaining\(\d+s\)", "remaining(TIME)"),
    (r'"ttl":\d+', '"ttl":N'),
    (r"retrying of unary invoker failed.*", "RETRY"),
)


class Answer:
    def __init__(self, ended):
        self.code = ended.returncode
        self.out = ended.stdout
        self.err = ended.stderr

    def comparable(self):
        return self.code, plain(self.out), plain(self.err)


def plain(output):
    """What etcdctl printed, with all that may differ between two right answers named alike."""
    text = output.decode("utf-8", "replace")
    for pattern, instead in DIFFERENCES:
        text = re.sub(pattern, instead, text)
    return re.sub(r"^[+|].*$", narrow, text, flags=re.MULTILINE)


def narrow(line):
    """A line of a table, as narrow as can be: ids of some digits less make less wide ones."""
    return re.sub(r"([- ])\1+", r"\1", line.group())


def command_line(endpoints, arguments):
    return ["etcdctl", "--endpoints=" + endpoints] + list(arguments)


def etcdctl_environment():
    return dict(cluster.environment(), ETCDCTL_API="3")


class Running:
    """An etcdctl that goes on, with what it has printed so far. Use it in a with statement."""

    def __init__(self, endpoints, arguments):
        self.process = subprocess.Popen(
            command_line(endpoints, arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=etcdctl_environment())
        self.out = b""
        self.err = b""
        self.more = threading.Condition()
        self.threads = [threading.Thread(target=self.listen, args=(name,), daemon=True)
                        for name in ("out", "err")]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def listen(self, name):
        pipe = getattr(self.process, "std" + name)
        for line in iter(pipe.readline, b""):
            with self.more:
                setattr(self, name, getattr(self, name) + line)
                self.more.notify_all()

    def say(self, line):
        try:
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: what it printed says why

    def wait_lines(self, count, seconds=10):
        """Until it has printed that many lines; returns whether it has."""
        with self.more:
            return self.more.wait_for(lambda: self.out.count(b"\n") >= count, seconds)

    def interrupt(self, number=signal.SIGINT):
        """As Control-C does; returns the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds=LIMIT_SECONDS):
        code = self.process.wait(seconds)
        for thread in self.threads:
            thread.join()
        return code


def run(endpoints, arguments, stdin=b""):
    """etcdctl with a list of arguments against host:port,host:port ..."""
    return Answer(subprocess.run(command_line(endpoints, arguments), input=stdin,
                                 capture_output=True, env=etcdctl_environment(),
                                 timeout=LIMIT_SECONDS, check=False))


def oracle():
    """Path of Debian's etcd to compare with, "" when it cannot be had."""
    return subprocess.run([os.path.join(TESTS, "etcd")], capture_output=True, text=True,
                          timeout=300, check=False).stdout.strip()

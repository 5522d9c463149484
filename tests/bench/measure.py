"""What is measured beside the load: the disk, the members' CPU, memory and metrics; and the
load itself, run on a cluster."""

import json
import os
import re
import subprocess
import time

import ports

FOLDER = os.path.join(ports.ROOT, "build", "bench")
LOAD = os.path.join(ports.ROOT, "build", "rel", "bench", "load")
FSYNC_SAMPLES = 200
FSYNC_BYTES = 4096
TICKS = os.sysconf("SC_CLK_TCK")
LOAD_LIMIT_SECONDS = 600  # over its own time


class LoadFailed(Exception):
    pass


# ---- the machine ------------------------------------------------------------------------


def file_system():
    """The type of the file system that holds the data."""
    best, kind = "", "unknown"
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, fs_type = line.split()[:3]
            inside = FOLDER == point or FOLDER.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, fs_type
    return kind


def fsync_ms():
    """Median and 99th percentile of write and fdatasync of a page, as a log would do it."""
    path = os.path.join(FOLDER, "fsync")
    took = []
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, FSYNC_SAMPLES * FSYNC_BYTES)
        os.fsync(file)
        for i in range(FSYNC_SAMPLES):
            start = time.perf_counter()
            os.pwrite(file, os.urandom(FSYNC_BYTES), i * FSYNC_BYTES)
            os.fdatasync(file)
            took.append((time.perf_counter() - start) * 1e3)
    finally:
        os.close(file)
        os.unlink(path)
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


# ---- the members ------------------------------------------------------------------------


def cpu_seconds(members):
    """User and system time of all these members."""
    ticks = 0
    for member in members:
        with open("/proc/%d/stat" % member.process.pid, encoding="ascii") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def memory_mib(member):
    """Anonymous and whole resident memory."""
    found = {}
    with open("/proc/%d/status" % member.process.pid, encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("RssAnon", "VmRSS"):
                found[name] = int(value.split()[0]) / 1024
    return found


def metrics(member):
    """The page of metrics: values by name and labels, as they are written there."""
    text = member.page("/metrics")
    return {name: float(value) for name, value in
            re.findall(r"^([a-zA-Z_]\S*) (\S+)$", text, re.MULTILINE)}


# ---- the load -----------------------------------------------------------------------------


def tls_options(member):
    """Of the load, when the member speaks TLS (tests/cluster/secure.py)."""
    if not hasattr(member, "pki"):
        return []
    return [word for option, name in (("--cacert", "ca.crt"), ("--cert", "root.crt"),
                                      ("--key", "root.key"))
            for word in (option, os.path.join(member.pki, name))]


class Load:
    """One run of the generator on some members; result() waits for its end. The CPU of the
    servers is counted while it measures; measuring is called when that begins."""

    def __init__(self, members, mode, options, watched=None, hold=False, measuring=None):
        self.mode = mode
        self.watched = watched or members
        self.measuring = measuring
        self.limit = time.monotonic() + LOAD_LIMIT_SECONDS
        command = [LOAD, mode, "--endpoints", ",".join(one.endpoint for one in members)]
        command += tls_options(members[0])
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL"] + command + options + ["--hold"] * hold,
            stdin=subprocess.PIPE if hold else subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline() if hold else ""
        if hold and first != "ready\n":
            with self.process:
                raise LoadFailed("the load %s could not be set up:\n%s" % (
                    mode, first + self.process.stdout.read()))

    def result(self):
        start, last, text = None, "", ""
        if self.process.stdin:
            self.process.stdin.close()
        with self.process:
            for line in self.process.stdout:
                if line == "measuring\n":
                    start = cpu_seconds(self.watched)
                    if self.measuring:
                        self.measuring()
                last = line
                text += line
                if time.monotonic() > self.limit:
                    self.process.kill()
            used = cpu_seconds(self.watched) - start if start is not None else 0
        if not last.startswith("{"):
            raise LoadFailed("the load %s ended without a result:\n%s" % (self.mode, text))
        result = json.loads(last)
        result["server_cpu_us"] = used * 1e6 / max(result["done"], 1)
        if result["errors"] or not result["done"]:
            print(text, end="", flush=True)
            result["errors"] = result["errors"] or 1
        return result

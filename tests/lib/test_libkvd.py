#!/usr/bin/python3
"""libkvd as its users have it: installed, found by pkg-config, and linked with their programs.

The examples of the repository are built both ways, against the shared and the static library,
and run against a cluster of three; one more program checks watches, caches and leases while
members are killed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "cluster"))

import report  # noqa: E402
from cluster import Cluster  # noqa: E402
from ports import ROOT  # noqa: E402

FOLDER = os.path.join(ROOT, "build", "lib-tests")
INSTALLED = os.path.join(FOLDER, "root")
PREFIX = "/opt/kvd"
LIBDIR = INSTALLED + PREFIX + "/lib"
EXAMPLES = ("config", "fenced", "leader", "service")
LIMIT_SECONDS = 60
SOAK_SECONDS = 10


def run(command, **options):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False,
                           **options)
    assert ended.returncode == 0, "%s\n%s%s" % (command, ended.stdout, ended.stderr)
    return ended.stdout


def pkg_config(*arguments):
    environment = dict(os.environ, PKG_CONFIG_PATH=LIBDIR + "/pkgconfig",
                       PKG_CONFIG_SYSROOT_DIR=INSTALLED)
    return run(["pkg-config", *arguments, "kvd"], env=environment).split()


def install():
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    run(["make", "-s", "-C", ROOT, "install", "DESTDIR=" + INSTALLED, "PREFIX=" + PREFIX],
        env=environment)


def compile_program(source, target, static=False):
    command = ["cc", "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", target,
               source, *pkg_config("--cflags")]
    if static:
        # The sysroot is put before the paths of the system's own libraries, too.
        found = [flag for flag in pkg_config("--static", "--libs") if flag != "-lkvd"]
        command += [LIBDIR + "/libkvd.a"] + [flag for flag in found if flag.startswith("-l")]
    else:
        command += pkg_config("--libs")
    run(command)


def program(name):
    return os.path.join(FOLDER, name)


def start(name, *arguments):
    environment = dict(os.environ, LD_LIBRARY_PATH=LIBDIR)
    return subprocess.Popen([program(name), *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=environment)


def finish(process, code=0):
    out, err = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == code, "exit code %d\n%s%s" % (process.returncode, out, err)
    return out


def lines_until(process, wanted):
    """Reads up to, and with, the line that contains the text."""
    seen = []
    for line in process.stdout:
        seen.append(line.rstrip("\n"))
        if wanted in line:
            return seen
    raise AssertionError("%r never came after %s: %s" % (wanted, seen, process.stderr.read()))


def setUpModule():
    install()
    for name in EXAMPLES:
        source = os.path.join(ROOT, "cli", "lib", "examples", name + ".c")
        compile_program(source, program(name))
        compile_program(source, program(name + "-static"), static=True)
    compile_program(os.path.join(TESTS, "lib", "soak.c"), program("soak"))


class Library(unittest.TestCase):
    def test_only_public_functions_are_exported(self):
        shown = run(["nm", "-D", "--defined-only", LIBDIR + "/libkvd.so"]).splitlines()
        names = [line.split()[-1] for line in shown]

        self.assertIn("kvd_open", names)
        self.assertEqual([name for name in names if not name.startswith("kvd_")], [])

    def test_the_static_library_defines_no_other_global_name(self):
        shown = run(["nm", "-g", "--defined-only", LIBDIR + "/libkvd.a"]).splitlines()
        names = [line.split()[-1] for line in shown if len(line.split()) == 3]

        self.assertIn("kvd_open", names)
        self.assertEqual([name for name in names if not name.startswith("kvd_")], [])

    def test_programs_ask_for_the_soname(self):
        shown = run(["readelf", "-d", program("config")])
        self.assertIn("libkvd.so.0", shown)
        self.assertNotIn("libkvd", run(["readelf", "-d", program("config-static")]))

    def test_the_header_serves_cxx_too(self):
        if shutil.which("c++") is None:
            self.skipTest("no C++ compiler")
        source = os.path.join(FOLDER, "cxx.cc")
        with open(source, "w", encoding="ascii") as file:
            file.write("#include <kvd.h>\nint main() { return kvd_key(\"a\").key.len != 1 || "
                       "kvd_version()[0] == 0; }\n")
        run(["c++", "-Wall", "-Wextra", "-Werror", "-o", program("cxx"), source,
             *pkg_config("--cflags"), *pkg_config("--libs")])
        run([program("cxx")], env=dict(os.environ, LD_LIBRARY_PATH=LIBDIR))


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster("libkvd").start_and_wait()
        cls.client = cls.cluster.members[0].client
        # The first endpoint is dead: every program has to go on to the next.
        cls.endpoints = ",".join(["127.0.0.1:1"] + [m.endpoint for m in cls.cluster.members])

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def both(self, name):
        for built in (name, name + "-static"):
            with self.subTest(program=built):
                yield built

    def test_config_follows_changes(self):
        for built in self.both("config"):
            prefix = built + "/"
            self.client.put(prefix.encode() + b"a", b"1")
            process = start(built, self.endpoints, prefix, "2")
            loaded = lines_until(process, "loaded")
            self.client.put(prefix.encode() + b"b", b"2")
            changed = lines_until(process, "revision")
            self.client.delete(prefix.encode() + b"a")
            rest = finish(process)

            self.assertEqual(loaded[0], prefix + "a = 1")
            self.assertEqual(changed[0], prefix + "b = 2")
            self.assertIn(prefix + "a deleted", rest)
            self.assertIn("1 keys, stale for 0 ms", rest)

    def test_instances_are_registered_until_they_end(self):
        for built in self.both("service"):
            first = start(built, self.endpoints, built, "10.0.0.1:80", "3")
            lines_until(first, "instance 10.0.0.1:80")
            second = finish(start(built, self.endpoints, built, "10.0.0.2:80", "0"))
            taken = finish(start(built, self.endpoints, built, "10.0.0.1:80", "0"), code=1)

            self.assertIn("instance 10.0.0.1:80\ninstance 10.0.0.2:80", second)
            self.assertIn("is taken", taken)
            self.assertIn("still alive", finish(first))
            left = finish(start(built, self.endpoints, built, "10.0.0.3:80", "0"))
            self.assertEqual(left.count("instance"), 1)

    def test_leaders_follow_each_other(self):
        for built in self.both("leader"):
            first = start(built, self.endpoints, built, "one", "1")
            lines_until(first, "one leads")
            second = start(built, self.endpoints, built, "two", "0")
            lines_until(second, "two leads")
            finish(second)
            finish(first)

    def test_a_killed_leader_is_replaced_after_its_ttl(self):
        first = start("leader", self.endpoints, "killed", "one", "60")
        lines_until(first, "one leads")
        first.kill()
        first.communicate()
        second = start("leader", self.endpoints, "killed", "two", "0")
        lines_until(second, "two leads")
        finish(second)

    def test_a_counter_under_a_lock_counts_right(self):
        workers = [start(built, self.endpoints, "counting", "count", "10", "5")
                   for built in ("fenced", "fenced-static") * 2]
        tokens = [finish(worker).split()[-1] for worker in workers]

        self.assertEqual(self.client.get(b"count").value, b"40")
        self.assertEqual(len(set(tokens)), 4)

    def test_a_paused_holder_cannot_write_any_more(self):
        slow = start("fenced", self.endpoints, "paused", "balance", "1000", "20")
        lines_until(slow, "locked")
        time.sleep(0.3)
        slow.send_signal(signal.SIGSTOP)
        quick = start("fenced", self.endpoints, "paused", "balance", "1")
        finish(quick)
        before = self.client.get(b"balance").value
        slow.send_signal(signal.SIGCONT)
        finish(slow, code=4)

        self.assertEqual(self.client.get(b"balance").value, before)


class Failures(unittest.TestCase):
    def test_watch_cache_and_lease_survive_kills_and_pauses(self):
        with Cluster("libkvd-soak") as cluster:
            cluster.start_and_wait()
            endpoints = ",".join(member.endpoint for member in cluster.members)
            process = start("soak", endpoints, str(SOAK_SECONDS))
            for member in cluster.members[:2]:
                time.sleep(1)
                member.kill()
                time.sleep(1)
                cluster.start(member)
                cluster.wait_ready()
            cluster.members[2].pause()
            time.sleep(2)
            cluster.members[2].resume()
            shown = finish(process)
            print(shown.strip())

            self.assertGreater(int(shown.split()[0]), 100)

    def test_nobody_there_is_told_soon(self):
        process = start("service", "127.0.0.1:1,127.0.0.1:2", "a", "b", "0")
        _, err = process.communicate(timeout=LIMIT_SECONDS)

        self.assertEqual(process.returncode, 1)
        self.assertIn("127.0.0.1:1: connect: Connection refused", err)
        self.assertIn("127.0.0.1:2: connect: Connection refused", err)


if __name__ == "__main__":
    report.main()

#!/usr/bin/python3
"""What kvd refuses at start: one line that helps, an exit code, nothing changed on disk."""

import hashlib
import os
import re
import shutil
import subprocess
import unittest

import report
from cluster import SERVER, WORK, Cluster, Member, environment, eventually, is_kvd

LIMIT_SECONDS = 15
NOBODY = "65534"


def tree(folder):
    """Everything about a directory that a careful reader could tell, times apart."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(parent, name)
            stat = os.lstat(path)
            content = b""
            if name in files:
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).digest()
            found[os.path.relpath(path, folder)] = (
                stat.st_mode, stat.st_size, stat.st_mtime_ns, content)
    return found


@unittest.skipUnless(is_kvd(), "these sentences are kvd's")
class Refusals(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.join(WORK, self.id().split(".")[-1])
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.member = Member("m1", self.folder)
        self.addCleanup(self.member.close)

    def refused(self, words, changes=None, without=(), prefix=(), member=None):
        """Starts a member with changed options; it must end by itself, saying those words."""
        member = member or self.member
        options = member.options("%s=%s" % (member.name, member.peer_url), "refusals")
        options.update(changes or {})
        command = list(prefix) + [SERVER]
        for option, value in options.items():
            if option not in without:
                command += [option, value]
        before = tree(self.folder)
        ended = subprocess.run(command, capture_output=True, text=True, env=environment(),
                               timeout=LIMIT_SECONDS, check=False)
        self.assertNotEqual(ended.returncode, 0, ended.stderr)
        self.assertGreater(ended.returncode, 0, "ended by a signal: " + ended.stderr)
        lines = [line for line in ended.stderr.splitlines() if '"level":"info"' not in line]
        self.assertEqual(len(lines), 1, ended.stderr)
        self.assertEqual(ended.stdout, "")
        for word in words:
            self.assertRegex(lines[0], word)
        self.assertEqual(tree(self.folder), before)

    def run_once(self):
        """Gives the member a data directory with something in it."""
        self.member.start(self.member.options("m1=" + self.member.peer_url, "refusals"))
        eventually("the member takes writes", lambda: self.member.client.put(b"key", b"value"))
        self.assertEqual(self.member.terminate(), 0, self.member.log_tail())

    def test_an_unknown_option_with_a_suggestion(self):
        self.refused([r"--data-dri", r"--data-dir"], {"--data-dri": "x"})

    def test_a_url_that_is_none(self):
        self.refused([r"--listen-client-urls", r"127\.0\.0\.1:2379"],
                     {"--listen-client-urls": "127.0.0.1:2379"})

    def test_https_without_a_certificate(self):
        self.refused([r"--listen-client-urls", r"--cert-file", r"--key-file"],
                     {"--listen-client-urls": "https://127.0.0.1:2379"})

    def test_a_certificate_that_is_not_there(self):
        self.refused([r"--cert-file=/no/such/file", r"No such file"],
                     {"--listen-client-urls": "https://" + self.member.endpoint,
                      "--cert-file": "/no/such/file", "--key-file": "/no/such/key"})

    def test_a_certificate_that_is_not_there_is_found_by_a_check_too(self):
        self.refused([r"--cert-file=/no/such/file", r"No such file"],
                     {"--listen-client-urls": "https://" + self.member.endpoint,
                      "--cert-file": "/no/such/file", "--key-file": "/no/such/key"},
                     prefix=["env", "KVD_CHECK_CONFIG=true"])

    def test_members_in_clear_over_a_network(self):
        self.refused([r"--listen-peer-urls", r"0\.0\.0\.0", r"--insecure-peers"],
                     {"--listen-peer-urls": "http://0.0.0.0:2380"})

    def test_a_name_that_is_not_in_the_initial_cluster(self):
        self.refused([r"m1", r"--initial-cluster"],
                     {"--initial-cluster": "other=" + self.member.peer_url})

    def test_a_peer_url_that_differs_from_the_initial_cluster(self):
        self.refused([r"--initial-advertise-peer-urls"],
                     {"--initial-advertise-peer-urls": "http://127.0.0.1:1"})

    def test_an_election_timeout_too_close_to_the_heartbeat(self):
        self.refused([r"--election-timeout", r"--heartbeat-interval"],
                     {"--election-timeout": "200", "--heartbeat-interval": "100"})

    def test_a_number_that_is_none(self):
        self.refused([r"--snapshot-count", r"many"], {"--snapshot-count": "many"})

    def neighbour(self):
        """Another member that runs, with files elsewhere."""
        folder = self.folder + "-neighbour"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        other = Member("other", folder)
        self.addCleanup(other.close)
        other.start(other.options("other=" + other.peer_url, "other"))
        eventually("the neighbour takes writes", lambda: other.client.put(b"key", b"value"))
        return other

    def test_a_client_port_in_use(self):
        self.member.client_port = self.neighbour().client_port
        self.refused([r"in use", str(self.member.client_port)])

    def test_a_peer_port_in_use(self):
        self.member.peer_port = self.neighbour().peer_port
        self.refused([r"in use", str(self.member.peer_port)])

    def test_a_port_in_use_with_a_data_directory(self):
        self.run_once()
        self.member.client_port = self.neighbour().client_port
        self.refused([r"in use", str(self.member.client_port)])

    def test_a_data_directory_of_another_cluster(self):
        self.run_once()
        self.refused([r"belongs to cluster", r"--initial-cluster-token"],
                     {"--initial-cluster-token": "another"})

    def test_a_data_directory_of_another_member(self):
        self.run_once()
        other = Member("m2", self.folder)
        self.addCleanup(other.close)
        self.refused([r"belongs to (member|cluster)", r"--data-dir"],
                     {"--data-dir": self.member.data_dir}, member=other)

    def test_a_data_directory_in_use(self):
        self.member.start(self.member.options("m1=" + self.member.peer_url, "refusals"))
        eventually("the member takes writes", lambda: self.member.client.put(b"key", b"value"))
        second = Member("m1", self.folder)
        self.addCleanup(second.close)
        command = [SERVER]
        for option, value in self.member.options("m1=" + self.member.peer_url,
                                                 "refusals").items():
            command += [option, value]
        command += ["--listen-client-urls", second.client_url]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment(),
                               timeout=LIMIT_SECONDS, check=False)
        self.assertGreater(ended.returncode, 0)
        self.assertRegex(ended.stderr, r"in use")
        self.assertEqual(self.member.client.get(b"key").value, b"value")

    def test_a_data_directory_of_a_newer_format(self):
        self.run_once()
        path = os.path.join(self.member.data_dir, "IDENTITY")
        with open(path, encoding="ascii") as file:
            text = file.read()
        with open(path, "w", encoding="ascii") as file:
            file.write(re.sub(r"^(\S+) 1\n", r"\1 999\n", text))
        self.refused([r"newer", r"999"])

    def test_a_data_directory_that_is_a_file(self):
        with open(self.member.data_dir, "w", encoding="ascii") as file:
            file.write("mine")
        self.refused([re.escape(self.member.data_dir)])

    def test_a_directory_with_files_of_somebody_else(self):
        os.makedirs(self.member.data_dir)
        with open(os.path.join(self.member.data_dir, "thesis.tex"), "w",
                  encoding="ascii") as file:
            file.write("mine")
        self.refused([r"not empty", r"--data-dir"])

    def test_a_directory_where_it_may_not_write(self):
        os.chmod(self.folder, 0o555)
        self.addCleanup(os.chmod, self.folder, 0o755)
        drop = []
        if os.getuid() == 0:
            drop = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        self.refused([re.escape(self.member.data_dir), r"(?i)permission denied"], prefix=drop)

    def test_a_damaged_identity(self):
        self.run_once()
        path = os.path.join(self.member.data_dir, "IDENTITY")
        with open(path, "r+b") as file:
            file.seek(20)
            file.write(b"Z")
        self.refused([r"IDENTITY", r"damaged"])


@unittest.skipUnless(is_kvd(), "etcd takes a wiped member back")
class WipedMember(unittest.TestCase):
    def test_a_wiped_voter_is_refused_by_the_others(self):
        with Cluster("wiped") as cluster:
            cluster.start_and_wait()
            wiped = cluster.followers()[0]
            keeper = next(member for member in cluster.members if member is not wiped)
            keeper.client.put(b"key", b"value")
            cluster.wait_equal()
            wiped.kill()
            shutil.rmtree(wiped.data_dir)
            cluster.start(wiped)
            eventually("the wiped member says why it cannot join",
                       lambda: "another store" in wiped.log_tail(50))
            self.assertEqual(keeper.client.get(b"key").value, b"value")
            keeper.client.put(b"key", b"still")


if __name__ == "__main__":
    report.main()

#!/usr/bin/python3
"""A member whose files rotted: it says which file and ends, or goes on as if nothing was.

Bytes of every file are changed while it is stopped, at places that a seed chooses. What it may
never do is serve something that was not written, or forget what it acknowledged.
"""

import os
import random
import re
import shutil
import unittest

import report
from client import Failed
from cluster import Cluster, eventually, is_kvd

SEED = int(os.environ.get("SEED", random.randrange(1 << 31)))
PAIRS = 100
END_SECONDS = 20

# Files of the data directory, and how often each is damaged.
NAMED = (("IDENTITY", 2), ("CURRENT", 2), ("vote", 1), ("log", 4))
DATABASE_TRIES = 3


@unittest.skipUnless(is_kvd(), "the files are kvd's")
class BadFiles(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print("SEED=%d" % SEED, flush=True)
        cls.random = random.Random(SEED)
        cls.cluster = Cluster("bad-files", size=1)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start_and_wait()
        cls.member = cls.cluster.members[0]
        cls.pairs = {}
        for number in range(PAIRS):
            key = b"pair/%04d" % number
            cls.pairs[key] = cls.random.randbytes(cls.random.randrange(1, 400))
            cls.member.client.put(key, cls.pairs[key])
        cls.member.kill()
        cls.whole = cls.member.data_dir + ".whole"
        shutil.copytree(cls.member.data_dir, cls.whole)
        cls.addClassCleanup(shutil.rmtree, cls.whole)

    def tearDown(self):
        self.member.kill()

    def restore(self):
        if self.member.running():
            self.member.kill()
        shutil.rmtree(self.member.data_dir)
        shutil.copytree(self.whole, self.member.data_dir)
        open(self.member.log_path, "wb").close()

    def path_of(self, name):
        folder = self.member.data_dir
        if name == "log":
            name = os.path.join("log", sorted(os.listdir(os.path.join(folder, "log")))[0])
        return os.path.join(folder, name)

    def damage(self, path, offsets):
        with open(path, "r+b") as file:
            for offset in offsets:
                file.seek(offset)
                byte = file.read(1)[0]
                file.seek(offset)
                file.write(bytes([byte ^ self.random.randrange(1, 256)]))

    def used(self, path):
        """Bytes of a file up to the zeros at its end."""
        with open(path, "rb") as file:
            return len(file.read().rstrip(b"\0"))

    def start(self):
        """Its exit code, or None once it serves."""
        self.cluster.start(self.member)
        return eventually("it serves or ends", lambda: self.ended_or_serves(), END_SECONDS)[0]

    def ended_or_serves(self):
        if not self.member.running():
            return (self.member.process.returncode,)
        self.member.client.status(timeout=1)
        return (None,)

    def serves_what_was_written(self):
        """Every pair as it was, or a failure in words: never another value, never none."""
        failures = 0
        for key, value in self.pairs.items():
            try:
                reply = self.member.client.range(key)
            except Failed:
                failures += 1
                continue
            self.assertEqual([pair.value for pair in reply.kvs], [value], key)
        return failures

    def said(self):
        return self.member.log_tail(1)

    def test_files_that_are_checked_at_the_start(self):
        for name, times in NAMED:
            for _ in range(times):
                self.restore()
                path = self.path_of(name)
                size = self.used(path)
                # The last records may look like a write that was cut short.
                offset = self.random.randrange(size // 2 if name == "log" else size)
                both = [offset] if name != "vote" else [20, 4096 + 20]
                self.damage(path, both)
                with self.subTest(file=name, offset=offset, seed=SEED):
                    code = self.start()
                    self.assertIsNotNone(code, "it serves with a damaged " + name)
                    self.assertGreater(code, 0, self.said())
                    self.assertIn(os.path.basename(path), self.said())
                    if name != "CURRENT":
                        self.assertRegex(self.said(), r"offsets? \d")

    def test_one_slot_of_the_vote_file_is_enough(self):
        self.restore()
        self.damage(self.path_of("vote"), [self.random.randrange(64)])
        self.assertIsNone(self.start(), self.said())
        self.assertEqual(self.serves_what_was_written(), 0)

    def test_the_database_never_gives_what_was_not_written(self):
        for attempt in range(DATABASE_TRIES):
            self.restore()
            for suffix in ("", "-wal"):
                path = self.path_of("state-1.db" + suffix)
                if os.path.exists(path) and os.path.getsize(path) > 0:
                    size = os.path.getsize(path)
                    self.damage(path, [self.random.randrange(size) for _ in range(3)])
            with self.subTest(attempt=attempt, seed=SEED):
                code = self.start()
                if code is None:
                    self.serves_what_was_written()
                    code = self.member.process.poll()
                if code is not None:
                    self.assertGreater(code, 0, self.said())
                    self.assertTrue(re.search(r"state-1\.db|row|re-seed", self.said()),
                                    self.said())


if __name__ == "__main__":
    report.main()

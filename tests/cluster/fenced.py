#!/usr/bin/python3
"""A client that counts up in a store under a lock, again and again, with its token as a fence.

fenced.py MODE SEED ENDPOINT... prints a line for each thing that happens: "held TOKEN" and, for
each write, "ok TOKEN COUNT REVISION", "refused TOKEN COUNT" or "unknown TOKEN COUNT". It never
asks whether it still has the lock before it writes: a client that was paused cannot know either.
It is a process of its own so that a test can stop and kill it.
"""

import itertools
import os
import random
import sys
import threading
import time
import urllib.parse
import uuid

from api import Api
from client import Failed, Refused

NAME = b"h/lock"
STORE = b"h/store"
TTL_SECONDS = 2
CALL_SECONDS = 2
WAIT_SECONDS = 20
WRITES = 30  # at most, under one grant
MODES = ("field", "metadata", "etcd-metadata", "etcd-txn")


class Lost(Exception):
    """The lock, or the will to go on with it."""


class FencedClient:
    def __init__(self, mode, seed, endpoints):
        self.mode = mode
        self.random = random.Random(seed)
        self.members = [Api(endpoint, CALL_SECONDS) for endpoint in endpoints]
        self.lease = 0
        self.key = b""
        self.token = 0
        self.hold = ""
        self.counted = 0

    def member(self):
        return self.random.choice(self.members)

    def run(self):
        for turn in itertools.count():
            try:
                self.once(turn)
            except (Failed, Lost, TimeoutError):
                time.sleep(0.05)

    def once(self, turn):
        self.lease = self.member().call("etcdserverpb.Lease/LeaseGrant", TTL=TTL_SECONDS).ID
        done = threading.Event()
        keeper = threading.Thread(target=self.keep_alive, args=(self.lease, done), daemon=True)
        keeper.start()
        try:
            self.acquire()
            tell("held", self.token)
            for _ in range(self.random.randint(1, WRITES)):
                self.count_up()
                time.sleep(self.random.random() * 0.03)
        finally:
            done.set()
        if turn % 3:
            self.release()
        self.member().call("etcdserverpb.Lease/LeaseRevoke", ID=self.lease)

    def keep_alive(self, lease, done):
        for member in itertools.cycle(self.members):
            stream = member.stream("etcdserverpb.Lease/LeaseKeepAlive")
            while not done.is_set():
                stream.send(ID=lease)
                reply = stream.read(1)
                if reply is None:
                    break
                if reply.TTL <= 0:
                    done.set()
                done.wait(TTL_SECONDS / 4)
            stream.cancel()
            if done.is_set():
                return

    # ---- the lock ----

    def acquire(self):
        if self.mode.startswith("etcd"):
            self.key = self.member().call("v3lockpb.Lock/Lock", timeout=WAIT_SECONDS, name=NAME,
                                          lease=self.lease).key
            found = self.member().call("etcdserverpb.KV/Range", key=self.key).kvs
            if not found:
                raise Lost
            self.token = found[0].create_revision
            return
        self.hold = uuid.uuid4().hex
        reply = self.member().call(
            "kvd.v1.Lock/Acquire", timeout=WAIT_SECONDS, name=NAME, lease=self.lease,
            hold=self.hold, wait_ms=WAIT_SECONDS * 500,
            owner=dict(owner=self.mode, pid=os.getpid()))
        if not reply.acquired:
            raise Lost
        self.token, self.key = reply.token, reply.key

    def release(self):
        if self.mode.startswith("etcd"):
            self.member().call("v3lockpb.Lock/Unlock", key=self.key)
        else:
            self.member().call("kvd.v1.Lock/Release", name=NAME, lease=self.lease,
                               hold=self.hold)

    # ---- the store ----

    def count_up(self):
        found = self.member().call("etcdserverpb.KV/Range", key=STORE).kvs
        count = int(found[0].value.split()[0]) + 1 if found else 1
        try:
            revision = self.write(b"%d %d" % (count, self.token))
        except Refused as error:
            tell("refused", self.token, count, error.code.name)
            raise Lost from None
        except Failed:
            tell("unknown", self.token, count)
            raise
        if revision == 0:
            tell("refused", self.token, count)
            raise Lost
        tell("ok", self.token, count, revision)

    def write(self, value):
        """Returns the revision; 0 when a transaction found the lock gone."""
        fence = dict(name=NAME, token=self.token)
        metadata = None
        self.counted += 1
        if self.mode.endswith("metadata"):
            fence = None
            metadata = [("kvd-fence", "%s:%d" % (urllib.parse.quote(NAME), self.token))]
        put = dict(key=STORE, value=value)
        if self.mode == "etcd-txn":
            reply = self.member().call("etcdserverpb.KV/Txn", compare=[
                dict(key=self.key, target="CREATE", result="EQUAL", create_revision=self.token)],
                success=[dict(request_put=put)])
            return reply.header.revision if reply.succeeded else 0
        if self.counted % 2:
            return self.member().call("etcdserverpb.KV/Put", metadata, fence=fence,
                                      **put).header.revision
        return self.member().call("etcdserverpb.KV/Txn", metadata, fence=fence, success=[
            dict(request_put=put)]).header.revision


def tell(*words):
    print(*words, flush=True)


if __name__ == "__main__":
    FencedClient(sys.argv[1], int(sys.argv[2]), sys.argv[3:]).run()

"""How long no write is acknowledged when the leader is killed, under load."""

import statistics
import threading
import time

from client import Client, Failed
from cluster import eventually

WRITERS_EACH = 4  # through each follower
TIMEOUT_SECONDS = 0.1
PAUSE_SECONDS = 0.002  # after a failure
LOAD_SECONDS = 0.3  # before the leader is killed, and after writes go on
LIMIT_SECONDS = 30


class Writers:
    """Write through some members, without a pause; keep when the first write was
    acknowledged that was sent after the leader was killed."""

    def __init__(self, members, value_size):
        self.value = b"x" * value_size
        self.killed = None
        self.again = None
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(member.endpoint, number))
                        for number, member in enumerate(members * WRITERS_EACH)]
        for thread in self.threads:
            thread.start()

    def run(self, endpoint, number):
        with Client(endpoint, timeout=TIMEOUT_SECONDS) as client:
            while not self.stopping.is_set():
                sent = time.monotonic()
                try:
                    client.put(b"failover/%d" % number, self.value)
                except Failed:
                    time.sleep(PAUSE_SECONDS)
                    continue
                if self.killed and sent >= self.killed and not self.again:
                    self.again = time.monotonic()

    def kill(self, leader):
        """Seconds until a write was acknowledged; None: not within the limit."""
        self.killed = time.monotonic()
        leader.kill()
        while not self.again and time.monotonic() < self.killed + LIMIT_SECONDS:
            time.sleep(PAUSE_SECONDS)
        return self.again and self.again - self.killed

    def finish(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def find_leader(members):
    for member in members:
        status = member.client.status(timeout=1)
        if status.leader == status.header.member_id:
            return member
    return None


def kill_leader(members, value_size):
    leader = eventually("one leads", lambda: find_leader(members), LIMIT_SECONDS)
    writers = Writers([member for member in members if member is not leader], value_size)
    time.sleep(LOAD_SECONDS)
    gap = writers.kill(leader)
    time.sleep(LOAD_SECONDS)
    writers.finish()
    leader.start(leader.options_used)
    eventually("%s is back" % leader.name, lambda: leader.client.put(b"back", b"", timeout=1),
               LIMIT_SECONDS)
    return gap


def failover(_, members, arguments):
    """The leader is killed again and again: the times are those from the signal to the next
    write that is acknowledged; "each" is a kill."""
    gaps = [kill_leader(members, arguments.value_size) for _ in range(arguments.kills)]
    known = sorted(gap * 1e6 for gap in gaps if gap) or [0]

    def rank(share):
        return known[min(len(known) - 1, int(share * len(known)))]
    return {
        "done": len(known),
        "errors": gaps.count(None),
        "per_second": 1e6 / statistics.mean(known) if known[-1] else 0,
        "p50_us": statistics.median(known),
        "p99_us": rank(0.99),
        "p999_us": known[-1],
        "server_cpu_us": 0,
    }

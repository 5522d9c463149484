"""How much of its time this machine gave.

What is promised within seconds is promised of a machine that works. One on which others compile
may let a process of low priority wait for many seconds, and a disk may take as long for a sync;
so a beat, a short sleep, a little work and the sync of a small file, is timed all the while, and
what it took beyond reason is not held against the members.
"""

import os
import threading
import time

BEAT_SECONDS = 0.1
WORK = 50000           # additions: about a millisecond
REASON_SECONDS = 0.25


class Pace:
    def __init__(self):
        self.lost = 0.0
        self.began = None  # of the beat under way; None: nothing is measured

    def measure(self, path):
        """From now on, until the process ends."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self.began = time.monotonic()
        threading.Thread(target=self.beat, args=(file,), daemon=True).start()

    def beat(self, file):
        while True:
            time.sleep(BEAT_SECONDS)
            sum(range(WORK))
            os.pwrite(file, b"beat", 0)
            os.fdatasync(file)
            now = time.monotonic()
            late, self.began = self.late(now), now
            self.lost += late

    def late(self, now):
        """What the beat under way took beyond reason so far."""
        took = 0.0 if self.began is None else now - self.began
        return took - BEAT_SECONDS if took > REASON_SECONDS else 0.0

    def clock(self):
        """Seconds that the machine gave: it stands still while the machine does."""
        now = time.monotonic()
        return now - self.lost - self.late(now)


PACE = Pace()

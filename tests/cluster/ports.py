"""Free ports on loopback, below the range from which the kernel gives ports to clients.

A file lock for each port taken keeps test programs that run side by side apart.
"""

import fcntl
import os
import random
import socket

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOCKS = os.path.join(ROOT, "build", "ports")
LOWEST, HIGHEST = 20000, 29999
TRIES = 1000

held = []  # open lock files: released when this process ends


def take():
    """Returns a port that nobody listens on and no other test program will take."""
    os.makedirs(LOCKS, exist_ok=True)
    for _ in range(TRIES):
        port = random.randint(LOWEST, HIGHEST)
        lock = open(os.path.join(LOCKS, str(port)), "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        held.append(lock)
        return port
    raise RuntimeError("no free port between %d and %d" % (LOWEST, HIGHEST))

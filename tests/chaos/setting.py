"""What the faults of a round work with: the members, the place of the clients, proxies,
failpoints, and a way to hand leadership over."""

import os
import subprocess
import sys

import world
from group import Broken

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MOVE_SECONDS = 3

sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))


class Failpoints:
    """The failpoints of the daemon, as it lists them, taking turns over all rounds: those first
    at which no member has died yet."""

    def __init__(self, server, choice):
        listed = subprocess.run([server, "--failpoints"], capture_output=True, text=True,
                                timeout=10, check=False)
        rows = [line.split(None, 1) for line in listed.stdout.splitlines()]
        self.can_fail = [name for name, meaning in rows if "[error]" in meaning]
        self.names = [name for name, _ in rows]
        self.choice = choice
        self.deck = []
        self.reached = set()

    def next_point(self):
        if not self.deck:
            left = self.left() or self.names
            self.deck = self.choice.sample(left, len(left))
        return self.deck.pop()

    def left(self):
        return [name for name in self.names if name not in self.reached]

    def errors(self):
        return [(name, error) for name in self.can_fail for error in ("EIO", "ENOSPC")]


class Proxies:
    """Processes of tests/chaos/proxy.c, at most one in a place."""

    def __init__(self, program):
        self.program = program
        self.running = {}

    def start(self, place, seed, options):
        self.stop(place)
        words = [self.program, "port", world.PROXY_PORT, "mark", world.PROXY_MARK, "seed", seed]
        for option, value in options.items():
            words += [option, value]
        process = subprocess.Popen(place.inside([str(word) for word in words]),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the proxy does not start in " + place.name)
        self.running[place] = process
        return place

    def stop(self, place):
        process = self.running.pop(place, None)
        if process:
            process.kill()
            process.wait()
            process.stdout.close()

    def close(self):
        for place in list(self.running):
            self.stop(place)


class Setting:
    def __init__(self, group, hub, failpoints, proxy):
        self.group = group
        self.hub = hub
        self.failpoints = failpoints
        self.proxies = Proxies(proxy)

    @staticmethod
    def broken(promised, seen):
        raise Broken(promised, seen)

    @staticmethod
    def move_leader(leader, target):
        """Asks for it; whether it came about is not promised while other things happen."""
        from client import Client, Failed
        from etcd3 import etcdrpc
        with Client(leader.endpoint, MOVE_SECONDS) as client, \
                Client(target.endpoint, MOVE_SECONDS) as other:
            try:
                member_id = other.status().header.member_id
                client.call("Maintenance/MoveLeader",
                            etcdrpc.MoveLeaderRequest(targetID=member_id))
            except Failed:
                pass

    def close(self):
        self.proxies.close()

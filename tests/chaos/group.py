"""The members of a run together: started, watched, healed and compared.

What is wrong is raised as Broken: a promise, and what was seen instead.
"""

import os
import time

from member import Member
from pace import PACE

READY_SECONDS = 10
SEED_SECONDS = 30  # the same for a member that fetches the whole state
EQUAL_SECONDS = 10
POLL = 0.02


class Broken(Exception):
    """A promise of kvd that was not kept."""

    def __init__(self, promised, seen):
        super().__init__("%s; %s" % (promised, seen))
        self.promised = promised
        self.seen = seen


class Group:
    def __init__(self, folder, size, server, options, has_clock=False, planted=None):
        self.folder = folder
        self.extra = options
        self.members = [Member(number + 1, folder, server, has_clock, planted or {})
                        for number in range(size)]

    def options_of(self, member):
        everywhere = "http://0.0.0.0:2379"
        options = {
            "--name": member.name,
            "--data-dir": member.data_dir,
            "--listen-client-urls": everywhere,
            "--advertise-client-urls": "http://" + member.endpoint,
            "--listen-peer-urls": member.peer_url,
            "--initial-advertise-peer-urls": member.peer_url,
            "--initial-cluster": ",".join("%s=%s" % (one.name, one.peer_url)
                                          for one in self.members),
            "--initial-cluster-token": os.path.basename(self.folder),
            "--insecure-peers": "true",  # their network is this machine's own
        }
        options.update(self.extra)
        return options

    def start(self, members):
        """Those that do not run; one without power stays down."""
        for member in members:
            if member.disk.powered and not member.running():
                member.start(self.options_of(member))

    def endpoints(self):
        return [member.endpoint for member in self.members]

    def majority(self):
        return len(self.members) // 2 + 1

    def leader(self):
        """The member that says it leads, in the highest term; or None."""
        found = []
        for member in self.members:
            facts = member.serving() and member.metric("etcd_server_is_leader", "kvd_term")
            if facts and facts[0]:
                found.append((facts[1], member.number, member))
        return max(found)[2] if found else None

    def wait_leader(self):
        """The leader; any member when there is none for some seconds."""
        deadline = PACE.clock() + READY_SECONDS
        while PACE.clock() < deadline:
            found = self.leader()
            if found:
                return found
            time.sleep(POLL)
        return self.members[0]

    def watch(self):
        """A member that ended although nothing was done to it that may end it breaks a
        promise, and so does one that ends in another way than its fault allows."""
        for member in self.members:
            if member.process is None or member.process.poll() is None:
                continue
            code = member.process.returncode
            last = (member.log_tail(1) or [""])[0]
            if not any(allowed(code, last) for allowed in member.allowed.values()):
                raise Broken("a member goes on, whatever happens on the network and to others",
                             "%s ended %s; its last line: %s" % (
                                 member.name, how_ended(code), last))
            member.forget()

    def wait_ready(self, seconds=READY_SECONDS):
        """Until all say so; this breaks a promise when it takes too long."""
        deadline = PACE.clock() + seconds
        waiting = list(self.members)
        while waiting:
            self.watch()
            status, text = waiting[0].page("/readyz?verbose")
            if status == 200:
                waiting.pop(0)
                continue
            if PACE.clock() > deadline:
                raise Broken("after healing every member is ready within %g s" % seconds,
                             "%s says %d: %s" % (waiting[0].name, status,
                                                 " ".join(text.split())))
            time.sleep(POLL)

    def check_equal(self):
        """Members at the same index have the same state. Nobody writes meanwhile, so that
        all come to the same index."""
        deadline = PACE.clock() + EQUAL_SECONDS
        seen = {}  # index: (name, state)
        while True:
            states = {member.name: member.state() for member in self.members}
            for name, state in states.items():
                self.compare(seen, name, state)
            indexes = {state and state["applied_index"] for state in states.values()}
            if len(indexes) == 1 and None not in indexes:
                break
            if PACE.clock() > deadline:
                raise Broken("without writes all members come to the same index",
                             "after %g s they are at %s" % (EQUAL_SECONDS, ", ".join(
                                 "%s: %s" % (name, state and state["applied_index"])
                                 for name, state in states.items())))
            time.sleep(POLL)
        for member in self.members:
            if (member.metric("kvd_diverged") or [0])[0]:
                raise Broken("no member differs", "%s says that it does" % member.name)

    @staticmethod
    def compare(seen, name, state):
        if state is None:
            return
        other, before = seen.setdefault(state["applied_index"], (name, state))
        if before != state:
            raise Broken("equal state at equal index", "at index %d %s has %s and %s has %s" % (
                state["applied_index"], other, before, name, state))

    def heal(self):
        """What no single fault sees to when several met at one member."""
        for member in self.members:
            member.disk.make_room()
        self.start(self.members)

    def close(self):
        for member in self.members:
            member.close()


def how_ended(code):
    return "by signal %d" % -code if code < 0 else "with exit code %d" % code

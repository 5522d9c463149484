"""Faults of disks and of what is on them, and failpoints of the daemon."""

import os
import time

from faults import Fault, named

TURNS_SECONDS = 0.1


class PowerCut(Fault):
    """What was not synced is gone, and the process with it."""
    seconds = (0, 3)
    count = staticmethod(lambda size: 1)

    def inject(self):
        self.chosen = self.victims(self.count(len(self.order)))
        self.words = "power cut of " + named(self.chosen)
        for member in self.chosen:
            member.freeze()
        for member in self.chosen:
            member.disk.cut_power()
        for member in self.chosen:
            member.kill()

    def heal(self):
        for member in self.chosen:
            member.kill()
            member.disk.restore_power()
        self.group.start(self.group.members)


class PowerCutOne(PowerCut):
    """Power cut of one: what was not synced is gone, and the process with it."""
    name = "power-cut"


class PowerCutAll(PowerCut):
    """Power cut of all members at once."""
    name = "power-cut-all"
    count = staticmethod(lambda size: size)


class DiskFull(Fault):
    """No room on a member's disk, or on a majority's; then room again."""
    name = "disk-full"
    seconds = (2, 8)

    def draw(self):
        self.leave = self.choice.choice((0, 64 * 1024, 1 << 20, 20 << 20))
        self.many = self.choice.random() < 0.3

    def inject(self):
        self.chosen = self.victims(self.group.majority() if self.many else 1)
        self.words = "disk of %s full but for %d KiB" % (named(self.chosen), self.leave // 1024)
        for member in self.chosen:
            member.disk.fill(self.leave)

    def heal(self):
        for member in self.chosen:
            member.disk.make_room()
        self.forbid()
        self.group.start(self.group.members)


class LoseState(Fault):
    """The database is gone while the member was down; log, vote and identity are there."""
    name = "lose-state"
    seconds = (0.1, 1)

    def inject(self):
        self.chosen = self.victim()
        self.words = "the database of %s is lost" % self.chosen.name
        self.chosen.kill()
        for path in self.chosen.state_paths() if self.chosen.disk.powered else ():
            os.unlink(path)

    def heal(self):
        self.group.start(self.group.members)


class Lag(Fault):
    """A member is away while the others go on and drop the log that it lacks."""
    name = "lag"
    seconds = (4, 10)

    def inject(self):
        self.chosen = self.victim()
        self.words = "%s is away for %.1f s" % (self.chosen.name, self.hold)
        self.chosen.kill()

    def heal(self):
        self.group.start(self.group.members)


class Failpoint(Fault):
    """Something happens at a named place of the daemon."""

    def arm(self, members, text):
        self.chosen = members
        for member in members:
            member.arm(text)

    def heal(self):
        for member in self.chosen:
            member.arm("")
        time.sleep(TURNS_SECONDS)  # until then one that just started may know no better
        self.forbid()
        self.group.start(self.group.members)


class Crash(Failpoint):
    """The process dies at a failpoint; the points take turns."""
    name = "crash-at"
    seconds = (1, 5)

    def draw(self):
        self.point = self.setting.failpoints.next_point()
        # Some are hardly ever passed: the first time must do.
        seen = self.point in self.setting.failpoints.reached
        self.passing = self.choice.choice((1, 1, 2, 5, 20)) if seen else 1
        self.all = self.choice.random() < (0.3 if seen else 0.6)
        self.anew = self.choice.random() < 0.3

    def inject(self):
        members = self.group.members if self.all else [self.victim()]
        self.words = "%s dies at %s, passing %d%s" % (
            named(members), self.point, self.passing, ", started anew" if self.anew else "")
        self.allow(members, lambda code, last: code == -9)
        self.logs = {member: member.log_size() for member in members}
        self.arm(members, "%s=crash@%d" % (self.point, self.passing))
        if self.anew:
            for member in members:
                member.kill()
            self.group.start(members)

    def heal(self):
        # Some run again: another harm that is healed before has started all.
        died = [member for member in self.chosen
                if '"failpoint"' in member.log_from(self.logs[member])]
        if died:
            self.setting.failpoints.reached.add(self.point)
        self.words += " (%s did)" % (named(died) or "nobody")
        super().heal()


class DiskError(Failpoint):
    """A call to the disk fails: the member ends with one line."""
    name = "disk-error"
    seconds = (1, 4)

    def draw(self):
        self.point, self.error = self.choice.choice(self.setting.failpoints.errors())
        self.passing = self.choice.choice((1, 2, 7, 30))

    def inject(self):
        member = self.victim()
        self.words = "%s of %s ends with %s, call %d" % (
            self.point, member.name, self.error, self.passing)
        self.allow([member], lambda code, last: code == 1)
        self.arm([member], "%s=error:%s@%d" % (self.point, self.error, self.passing))


class SlowDisk(Failpoint):
    """Each sync of the log takes longer."""
    name = "slow-disk"
    seconds = (1, 6)

    def draw(self):
        self.delay = self.choice.choice((5, 50, 300, 1500))
        self.all = self.choice.random() < 0.3

    def inject(self):
        members = self.group.members if self.all else [self.victim()]
        self.words = "each sync of the log of %s takes %d ms more" % (named(members), self.delay)
        self.arm(members, "log-sync=delay:%d@1+" % self.delay)


class ShortWrites(Failpoint):
    """Reads and writes do a part only, by chance."""
    name = "short-io"
    seconds = (1, 5)

    def draw(self):
        self.seed = self.choice.randrange(1 << 30)

    def inject(self):
        members = self.group.members
        self.words = "reads and writes of %s do a part only, every fifth" % named(members)
        self.arm(members, "disk-write=short%%0.2\ndisk-read=short%%0.2\nseed=%d" % self.seed)

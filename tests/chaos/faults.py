"""What is done to the members: one small class for each harm.

A fault draws all its random numbers when it is made, so that the seed alone decides them; whom
"the leader" means is found out when it is injected. words says then what was done. heal() takes
it back, whatever became of the members meanwhile. A member may end by itself only in the way
that a fault allows (Member.allowed).
"""

import time

STOP_SECONDS = 20


class Fault:
    name = ""
    seconds = (0.5, 5)  # between inject and heal

    def __init__(self, setting, choice):
        self.setting = setting  # group, proxies and failpoints of the run
        self.group = setting.group
        self.choice = choice
        self.hold = choice.uniform(*self.seconds)
        self.at_leader = choice.random() < 0.5
        self.order = choice.sample(self.group.members, len(self.group.members))
        self.words = self.name
        self.draw()

    def draw(self):
        """More random numbers."""

    def inject(self):
        raise NotImplementedError

    def heal(self):
        """Takes back what does not end by itself."""

    def victim(self):
        """The leader, half of the time, or any member."""
        return self.group.wait_leader() if self.at_leader else self.order[0]

    def victims(self, count):
        first = self.victim()
        return [first] + [member for member in self.order if member is not first][:count - 1]

    def allow(self, members, allowed):
        for member in members:
            member.allowed[self] = allowed

    def forbid(self):
        """Whoever ended so far was allowed to; nobody is any more."""
        self.group.watch()
        for member in self.group.members:
            member.allowed.pop(self, None)


def named(members):
    return ", ".join(member.name for member in members)


# ---- processes ----

class Kill(Fault):
    """SIGKILL of some."""
    seconds = (0.1, 4)
    count = staticmethod(lambda size: 1)

    def inject(self):
        self.chosen = self.victims(self.count(len(self.order)))
        self.words = "SIGKILL of " + named(self.chosen)
        for member in self.chosen:
            member.kill()

    def heal(self):
        self.group.start(self.group.members)


class KillOne(Kill):
    """SIGKILL of one member: memory is lost, the disk keeps all that was written."""
    name = "kill-one"


class KillMajority(Kill):
    """SIGKILL of just so many that the others cannot go on."""
    name = "kill-majority"
    count = staticmethod(lambda size: size // 2 + 1)


class KillAll(Kill):
    """SIGKILL of all members at once."""
    name = "kill-all"
    count = staticmethod(lambda size: size)


class Pause(Fault):
    """SIGSTOP: the process sleeps with its connections open."""
    name = "pause"
    seconds = (0.1, 5)

    def draw(self):
        self.count = self.choice.choice((1, 1, 1, 2))

    def inject(self):
        self.chosen = self.victims(self.count)
        self.words = "SIGSTOP of %s for %.1f s" % (named(self.chosen), self.hold)
        for member in self.chosen:
            member.pause()

    def heal(self):
        for member in self.chosen:
            member.resume()


class RollingRestart(Fault):
    """One member after the other ends well and comes back."""
    name = "rolling-restart"
    seconds = (0, 0.1)

    def inject(self):
        self.words = "rolling restart of " + named(self.order)
        for member in self.order:
            if not member.serving():
                continue
            code = member.terminate(STOP_SECONDS)
            if code != 0:
                self.setting.broken("SIGTERM ends a member in good order",
                                    "%s: exit code %s after up to %d s" % (
                                        member.name, code, STOP_SECONDS))
            self.group.start([member])
            self.wait(member)

    @staticmethod
    def wait(member):
        """For a while: with other faults about it need not become ready."""
        deadline = time.monotonic() + 3
        while member.page("/readyz")[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)


class MoveLeader(Fault):
    """Leadership is handed over by request, several times."""
    name = "move-leader"
    seconds = (0.5, 3)

    def inject(self):
        self.words = "leadership handed to " + named(self.order)
        for member in self.order:
            self.setting.move_leader(self.group.wait_leader(), member)


# ---- the network ----

class Cut(Fault):
    """Packets between some members vanish. pairs() lists (from, to)."""
    seconds = (0.5, 6)

    def pairs(self):
        raise NotImplementedError

    def inject(self):
        blocked = {}
        for source, target in self.pairs():
            blocked.setdefault(target, []).append(
                "ip saddr %s drop" % source.place.address)
        for member, rules in blocked.items():
            member.place.set_rules(self, rules)

    def heal(self):
        for member in self.group.members:
            member.place.set_rules(self)


class CutOneWay(Cut):
    """What one member sends does not reach one other."""
    name = "cut-one-way"

    def pairs(self):
        source, target = self.victims(2)
        self.words = "nothing from %s reaches %s" % (source.name, target.name)
        return [(source, target)]


class CutTwoWays(Cut):
    """Two members do not reach each other."""
    name = "cut-two-ways"

    def pairs(self):
        one, other = self.victims(2)
        self.words = "%s and %s do not reach each other" % (one.name, other.name)
        return [(one, other), (other, one)]


class CutLeader(Cut):
    """The leader and the others do not reach each other."""
    name = "cut-leader"

    def pairs(self):
        leader = self.group.wait_leader()
        others = [member for member in self.order if member is not leader]
        self.words = "the leader %s is cut off from the others" % leader.name
        return [(leader, one) for one in others] + [(one, leader) for one in others]


class CutDeaf(Cut):
    """A member hears no other, or is heard by none."""
    name = "cut-deaf"

    def draw(self):
        self.deaf = self.choice.random() < 0.5

    def pairs(self):
        victim = self.victim()
        others = [member for member in self.order if member is not victim]
        self.words = "%s %s" % (victim.name, "hears nobody" if self.deaf else "is not heard")
        return [(one, victim) if self.deaf else (victim, one) for one in others]


class CutRing(Cut):
    """Each reaches its two neighbours only; of three members, two do not reach each other."""
    name = "cut-ring"

    def pairs(self):
        ring = self.order
        size = len(ring)
        self.words = "a ring %s: only neighbours reach each other" % named(ring)
        if size == 3:
            return [(ring[0], ring[2]), (ring[2], ring[0])]
        return [(ring[i], ring[j]) for i in range(size) for j in range(size)
                if (i - j) % size not in (0, 1, size - 1)]


class CutHalves(Cut):
    """A minority and the others do not reach each other."""
    name = "cut-halves"

    def pairs(self):
        few = self.victims(len(self.order) // 2)
        many = [member for member in self.order if member not in few]
        self.words = "%s do not reach %s" % (named(few), named(many))
        return [pair for one in few for other in many
                for pair in ((one, other), (other, one))]


class CutAll(Cut):
    """No member reaches another."""
    name = "cut-all"
    seconds = (0.5, 3)

    def pairs(self):
        self.words = "no member reaches another"
        return [(one, other) for one in self.order for other in self.order if one is not other]


class Loss(Cut):
    """Packets between members vanish by chance."""
    name = "loss"

    def draw(self):
        self.per_mille = self.choice.choice((10, 50, 150, 300))

    def inject(self):
        self.words = "%g %% of the packets between members are lost" % (self.per_mille / 10)
        for member in self.group.members:
            member.place.set_rules(self, [
                "ip saddr %s numgen random mod 1000 < %d drop" % (
                    other.place.address, self.per_mille)
                for other in self.group.members if other is not member])


class CutClients(Cut):
    """What clients send to a member vanishes."""
    name = "cut-clients"

    def inject(self):
        victim = self.victim()
        self.words = "clients do not reach %s" % victim.name
        victim.place.set_rules(self, ["ip saddr %s drop" % self.setting.hub.address])


# ---- connections, through the proxy ----

class Link(Fault):
    """Connections from a member (or all) to the others go through the proxy."""
    seconds = (1, 6)
    clients = False

    def options(self):
        """How the proxy treats them: {option: number}; sets self.how for people."""
        raise NotImplementedError

    def draw(self):
        self.seed = self.choice.randrange(1 << 30)
        self.everyone = self.choice.random() < 0.3
        self.chosen_options = self.options()

    def inject(self):
        members = self.group.members if self.everyone else [self.victim()]
        places = [self.setting.hub] if self.clients else [member.place for member in members]
        self.words = "connections from %s: %s" % (
            ", ".join(place.name for place in places), self.how)
        self.proxies = [self.setting.proxies.start(place, self.seed, self.chosen_options)
                        for place in places]
        for place in places:
            place.set_rules(self, diverted=[
                member.place.address for member in self.group.members
                if member.place is not place])
        self.places = places

    def heal(self):
        for place in self.places:
            place.set_rules(self)
        for proxy in self.proxies:
            self.setting.proxies.stop(proxy)


class LinkDelay(Link):
    """Bytes between members are late."""
    name = "link-delay"

    def options(self):
        low, high = self.choice.choice(((1, 5), (5, 50), (50, 200)))
        self.how = "%d to %d ms late" % (low, high)
        return {"delay": low, "delay-to": high}


class LinkSlow(Link):
    """Few bytes a second pass between members."""
    name = "link-slow"

    def options(self):
        rate = self.choice.choice((20, 100, 1000)) * 1024
        self.how = "at most %d KiB/s" % (rate // 1024)
        return {"rate": rate}


class LinkResets(Link):
    """Connections between members are reset again and again."""
    name = "link-resets"

    def options(self):
        middle = self.choice.choice((20, 200, 1000))
        self.how = "reset after some %d ms" % middle
        return {"reset": middle}


class LinkHalfClose(Link):
    """One direction of connections between members ends, the other goes on."""
    name = "link-half-close"

    def options(self):
        middle = self.choice.choice((100, 500))
        self.how = "one direction ends after some %d ms" % middle
        return {"half-close": middle}


class LinkStall(Link):
    """Connections between members stay open and nothing passes."""
    name = "link-stall"

    def options(self):
        middle = self.choice.choice((100, 1000))
        self.how = "nothing passes any more after some %d ms" % middle
        return {"stall": middle}


class LinkCorrupt(Link):
    """Bits of what members tell each other are flipped."""
    name = "link-corrupt"

    def options(self):
        middle = self.choice.choice((500, 20000, 500000))
        self.how = "a bit flipped in some %d bytes" % middle
        return {"corrupt": middle}


class ClientResets(LinkResets):
    """Connections of clients are reset again and again."""
    name = "client-resets"
    clients = True


class ClientDelay(LinkDelay):
    """Bytes between clients and members are late."""
    name = "client-delay"
    clients = True


class ClientStall(LinkStall):
    """Connections of clients stay open and nothing passes."""
    name = "client-stall"
    clients = True


# ---- clocks ----

class ClockJump(Fault):
    """The wall clock of a member is an hour ahead or behind, then right again."""
    name = "clock-jump"

    def draw(self):
        self.jump = self.choice.choice((-3600, -60, 60, 3600))

    def inject(self):
        self.chosen = self.victim()
        self.words = "the clock of %s jumps by %+d s" % (self.chosen.name, self.jump)
        self.chosen.set_clock(self.jump)

    def heal(self):
        self.chosen.set_clock(0)

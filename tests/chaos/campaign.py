"""Rounds of faults: a new cluster each, harmed again and again, healed and checked after each
harm, and at the end of the round every answer that a client got is checked.

A round draws its faults from a deck that holds each kind once, so that all come equally often:
half of the time one alone, half of the time two at once.
"""

import os
import random
import shutil
import time

import disk_faults
import faults
from crew import Crew
from group import Broken, Group, READY_SECONDS, SEED_SECONDS
from pace import PACE
from setting import Setting

WRITABLE_SECONDS = 10
WRITES_TO_BE_WELL = 20
QUIET = (0.2, 1.5)  # seconds between two harms
BRISK_QUIET = (0, 0.1)
BRISK_HOLD = (0, 0.2)
BRISK_CHECK = 20  # harms between two comparisons of the members
BRISK_ROUND = 200  # members hit in one round
TOLD_FAULTS = 8
TOLD_LINES = 6

KINDS = {kind.name: kind for module in (faults, disk_faults) for kind in vars(module).values()
         if isinstance(kind, type) and issubclass(kind, faults.Fault) and kind.name}
NEEDS_FAILPOINTS = tuple(name for name, kind in KINDS.items()
                         if issubclass(kind, disk_faults.Failpoint))
SEEDING = ("lose-state", "lag")  # may end in fetching the whole state

# Options of the daemons that make rare things common: short logs, so that a member that was
# away needs the state.
OPTIONS = (
    {},
    {"--snapshot-count": "500", "--snapshot-catchup-entries": "200",
     "--log-hold-entries": "1000"},
    {"--election-timeout": "500", "--heartbeat-interval": "50"},
)


def parse(plan):
    """"kill-one,cut-leader+slow-disk" becomes [["kill-one"], ["cut-leader", "slow-disk"]]."""
    harms = [harm.split("+") for harm in plan.split(",")]
    for name in (name for harm in harms for name in harm):
        if name not in KINDS:
            raise ValueError("no fault is called %s; there are: %s" % (
                name, " ".join(sorted(KINDS))))
    return harms


class Deck:
    """Endless harms, from a seed."""

    def __init__(self, choice, names):
        self.choice = choice
        self.names = sorted(names)
        self.cards = []

    def draw(self):
        if not self.cards:
            self.cards = self.choice.sample(self.names, len(self.names))
        return self.cards.pop()

    def harm(self):
        first = self.draw()
        if self.choice.random() < 0.5:
            return [first]
        second = self.draw()
        return [first] if second == first else [first, second]


class Tally:
    """What was done in all rounds so far."""

    def __init__(self):
        self.began = time.monotonic()
        self.faults = 0
        self.kinds = {}
        self.rounds = 0
        self.counts = {}  # of verify, added up
        self.gap = 0.0
        self.gap_harm = ""
        self.told_minutes = 0

    def note_gap(self, gap, names):
        if gap > self.gap:
            self.gap = gap
            self.gap_harm = " (%s)" % "+".join(names)

    def add(self, counts):
        """A round was verified."""
        self.rounds += 1
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def tell(self, crew, always=False):
        """One line a minute."""
        minutes = int((time.monotonic() - self.began) / 60)
        if minutes <= self.told_minutes and not always:
            return
        self.told_minutes = minutes
        operations = self.counts.get("operations", 0) + (crew.operations if crew else 0)
        away = "; the machine was away for %.0f s" % PACE.lost if PACE.lost > 1 else ""
        print("%3d min: %d operations, %d faults, longest write gap %.1f s%s; "
              "rounds verified: %d (%s)%s" % (minutes, operations, self.faults, self.gap,
                                              self.gap_harm, self.rounds, self.verified(), away),
              flush=True)

    def verified(self):
        return ", ".join("%d %s" % (count, name)
                         for name, count in self.counts.items()) or "nothing yet"


class Round:
    """One cluster from its beginning to its end."""

    def __init__(self, folder, number, seed, hub, failpoints, tally, programs, arguments):
        self.number = number
        self.programs = programs
        self.choice = random.Random("%s/%d" % (seed, number))
        self.folder = os.path.join(folder, "round-%d" % number)
        self.hub = hub
        self.failpoints = failpoints
        self.tally = tally
        self.arguments = arguments
        self.said = []  # (when, what)
        size = arguments.size or self.choice.choice((3, 3, 5))
        os.makedirs(self.folder)
        self.options = dict(self.choice.choice(OPTIONS))
        self.group = Group(self.folder, size, programs.server, self.options,
                           has_clock=self.choice.random() < 0.4,
                           planted=dict(pair.split("=", 1) for pair in arguments.set))
        self.setting = Setting(self.group, hub, failpoints, programs.proxy)
        self.crew = None
        self.began = time.monotonic()

    def begin(self):
        for member in self.group.members:
            member.make()
        self.group.start(self.group.members)
        self.group.wait_ready()
        self.crew = Crew(self.programs, self.group.endpoints(), self.choice.randrange(1 << 30),
                         os.path.join(self.folder, "history"), self.arguments.rate,
                         self.arguments.clients)
        self.crew.wait_writes(WRITES_TO_BE_WELL, WRITABLE_SECONDS)

    def say(self, text):
        self.said.append((time.monotonic() - self.began, text))

    def harm(self, names):
        """Some faults at once; then all is healed and looked at."""
        time.sleep(self.choice.uniform(*QUIET))
        chosen = [KINDS[name](self.setting, self.choice) for name in names]
        for fault in chosen:
            try:
                fault.inject()
            finally:
                self.say(fault.words)
            self.tally.faults += 1
            self.tally.kinds[fault.name] = self.tally.kinds.get(fault.name, 0) + 1
        self.hold(chosen)
        for fault in reversed(chosen):
            self.group.watch()
            fault.heal()
        self.group.heal()
        self.say("healed: " + "; ".join(fault.words for fault in chosen))
        self.check_well(any(name in SEEDING for name in names))
        self.tally.note_gap(self.crew.take_gap(), names)

    def strike(self, name):
        """One fault, healed at once, and only writes are waited for; returns how many
        members it hit."""
        time.sleep(self.choice.uniform(*BRISK_QUIET))
        fault = KINDS[name](self.setting, self.choice)
        fault.inject()
        self.say(fault.words)
        time.sleep(self.choice.uniform(*BRISK_HOLD))
        self.group.watch()
        fault.heal()
        self.crew.wait_writes(WRITES_TO_BE_WELL, WRITABLE_SECONDS)
        self.tally.faults += 1
        self.tally.note_gap(self.crew.take_gap(), [name])
        return len(fault.chosen)

    def hold(self, chosen):
        """As long as the longest of them wants."""
        ends = time.monotonic() + max(fault.hold for fault in chosen)
        while time.monotonic() < ends:
            self.group.watch()
            time.sleep(min(0.05, max(0, ends - time.monotonic())))

    def check_well(self, seeding=False):
        self.group.watch()
        self.crew.wait_writes(WRITES_TO_BE_WELL, WRITABLE_SECONDS)
        self.group.wait_ready(SEED_SECONDS if seeding else READY_SECONDS)
        self.crew.pause()
        try:
            self.group.check_equal()
        finally:
            self.crew.resume()

    def end(self):
        """The last word on everything that clients were told."""
        self.crew.stop()
        self.group.wait_ready()
        self.group.check_equal()
        counts = self.crew.verify()
        self.group.watch()
        self.tally.add(counts)
        self.crew = None
        self.close()
        shutil.rmtree(self.folder)

    def close(self):
        self.setting.close()
        self.group.close()

    def report(self, broken):
        """What a person needs to see, and little more."""
        now = time.monotonic() - self.began
        lines = ["FAILED in round %d after %s, %d members %s" % (
            self.number, clock(now), len(self.group.members),
            " ".join("%s=%s" % option for option in self.options.items()))]
        lines += ["  promised: " + broken.promised, "  seen:     " + broken.seen,
                  "  done before:"]
        lines += ["    %s  %s" % (clock(when), text) for when, text in self.said[-TOLD_FAULTS:]]
        for member in self.group.members:
            state = "paused" if member.paused else "runs" if member.running() else "ended"
            lines.append("  %s (%s) last logged:" % (member.name, state))
            lines += ["    " + line for line in member.log_tail(TOLD_LINES)]
        lines.append("  histories and logs: " + self.folder)
        return "\n".join(lines)


def clock(seconds):
    return "%02d:%04.1f" % (seconds // 60, seconds % 60)


def run_plan(first, harms):
    """One round with the harms of a list."""
    first.begin()
    for names in harms:
        first.harm(names)
        first.tally.tell(first.crew)
    first.end()


def run_for(one, seconds, deck):
    """One round that takes about so long."""
    ends = time.monotonic() + seconds
    one.begin()
    while time.monotonic() < ends:
        one.harm(deck.harm())
        one.tally.tell(one.crew)
    one.end()
    one.tally.tell(None)


def run_brisk(one, names, count):
    """One round with one fault after the other, until so many members were hit."""
    one.begin()
    hit = struck = 0
    while hit < min(count, BRISK_ROUND):
        hit += one.strike(one.choice.choice(names))
        struck += 1
        if struck % BRISK_CHECK == 0:
            one.check_well()
        one.tally.tell(one.crew)
    one.end()
    return hit

"""What there is to run: a table of test suites.

Long ones come first, so that two lanes end at about the same time. A suite that measures time
or memory runs alone.
"""

import glob
import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"  # Debian's: the only one that has Debian's modules

# Seeds of the simulations: in the time of make check, and when there is an hour.
RAFTLOG_SEEDS = {"check": "600", "soak": "20000"}
NODE_SEEDS = {"check": "120", "soak": "4000"}
KILLS = {"check": "30", "soak": "150"}


class Suite:
    def __init__(self, name, command, limit_seconds, alone=False, variables=None):
        self.name = name
        self.command = command
        self.limit_seconds = limit_seconds
        self.alone = alone
        self.variables = variables or {}


def path(*parts):
    return os.path.join(ROOT, *parts)


def script(name, relative, limit_seconds, **more):
    return Suite(name, [PYTHON, path(relative)], limit_seconds, **more)


def sources(pattern):
    return sorted(os.path.relpath(found, ROOT) for found in glob.glob(path(pattern)))


def simulations(effort):
    limit = 240 if effort == "check" else 3600
    sim = path("build/rel/sim")
    return [
        Suite("sim/raftlog", [sim, "raftlog", "--seeds", RAFTLOG_SEEDS[effort]], limit),
        Suite("sim/node", [sim, "node", "--seeds", NODE_SEEDS[effort]], limit),
        Suite("sim/scripts", [sim, "raftlog", "--scripts"], limit),
    ]


def clusters(effort):
    found = []
    for source in sources("tests/cluster/test_*.py"):
        name = "cluster/" + os.path.basename(source)[len("test_"):-len(".py")]
        limit = 240 if effort == "check" else 1800
        found.append(script(name, source, limit, variables={"KILLS": KILLS[effort]}))
    return found


def units():
    found = []
    for source in sources("tests/unit/*/test_*.c"):
        folder, name = source.split("/")[2:]
        binary = path("build/san", source[:-len(".c")])
        found.append(Suite("unit/%s/%s" % (folder, name[len("test_"):-len(".c")]),
                           [binary], 120))
    return found


def clients():
    return [script("interop/" + os.path.basename(source)[len("test_"):-len(".py")], source, 180)
            for source in sources("tests/interop/test_*.py")] + \
           [script("cli/" + os.path.basename(source)[len("test_"):-len(".py")], source, 180)
            for source in sources("tests/cli/test_*.py")]


def repository():
    return [
        Suite("layers", [path("tests/layers")], 60),
        Suite("style", [path("tests/style")], 120),
        script("canary", "tests/canary/test_canary.py", 120),
    ]


def all_suites(effort):
    """Everything, in the order in which it should start."""
    return clusters(effort) + simulations(effort) + clients() + units() + repository()

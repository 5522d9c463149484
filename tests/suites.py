"""What there is to run: a table of test suites.

Long ones come first, so that two lanes end at about the same time. A suite that measures time
or memory runs alone.
"""

import glob
import os

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"  # Debian's: the only one that has Debian's modules

# How much: in the time of make check, and when there is an hour.
RAFTLOG_SEEDS = {"check": "1000", "soak": "300000"}
NODE_SEEDS = {"check": "250", "soak": "100000"}
# Beyond those: each of these once found a bug.
NODE_SEEDS_FOUND = ("100287", "100438", "300079", "402214")
# Random requests compared with etcd's answers.
DIFFERENTIAL = {"check": {"SEEDS": "4", "CALLS": "1500"},
                "soak": {"SEEDS": "100", "CALLS": "10000"}}
FLIPS = {"check": "1", "soak": "211"}
KILLS = {"check": "30", "soak": "150"}
PEER_FRAMES = {"check": "500", "soak": "100000"}  # malformed, on a connection each

# Harms to real members: tests/chaos/run --list.
CHAOS_SHORT = "power-cut-all,kill-all,cut-leader,lose-state,disk-full+crash-at"
CHAOS_MINUTES = "60"

# Of each fuzz target. The one that needs all of kvctl is not compiled in the time of check.
FUZZ_SECONDS = {"check": "1", "soak": "900"}
FUZZ_ONLY_SOAK = ("fuzz/txn_text",)

# Bugs that the simulations can be told to have, and must then find.
PLANTS = {
    "raftlog": ("ack-before-fsync", "read-without-round", "apply-beyond-stored",
                "install-keeps-suffix", "campaigns-without-state"),
    "node": ("ack-before-fsync", "read-without-round", "apply-beyond-stored",
             "applied-outside-txn", "watch-loses", "watch-repeats", "progress-ahead",
             "old-prev-kv", "lease-early", "ttl-restarts", "early-renewal", "dead-waiter",
             "out-of-line", "old-fence", "any-of-token", "search-order",
             "copy-behind", "watch-stays", "install-not-durable"),
}
PLANT_SEEDS = "2000"

# Suites that also run against the sanitizer build of the daemon.
SANITIZED = {"check": ("cluster/restarts", "cluster/bad_input", "interop/watch", "interop/leases")}
SANITIZED["soak"] = SANITIZED["check"] + (
    "cluster/hostile", "cluster/watch_streams", "interop/lock_service", "interop/random_requests",
    "interop/tls_clients")


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
    sim = path("build/rel/sim")
    limit = 300 if effort == "check" else 3600
    found = [
        Suite("sim/node", [sim, "node", "--seeds", NODE_SEEDS[effort],
                           "--also", ",".join(NODE_SEEDS_FOUND)], limit),
        Suite("sim/raftlog", [sim, "raftlog", "--seeds", RAFTLOG_SEEDS[effort]], limit),
        Suite("sim/scripts", [sim, "raftlog", "--scripts"], limit),
    ]
    for simulation, plants in PLANTS.items():
        for plant in plants:
            found.append(Suite("sim/plant-%s-%s" % (simulation, plant), [
                sim, simulation, "--plant", plant, "--seeds", PLANT_SEEDS], limit))
    return found


def clusters(effort):
    limit = 300 if effort == "check" else 1800
    variables = {"KILLS": KILLS[effort], "PEER_FRAMES": PEER_FRAMES[effort]}
    return [script(short(source), source, limit, variables=variables)
            for source in sources("tests/cluster/test_*.py")]


def chaos(effort):
    """Needs root, and says so where it is not there."""
    run = path("tests/chaos/run")
    found = [Suite("chaos/short", [run, "--seed", "7", "--size", "3", "--plan", CHAOS_SHORT], 240)]
    if effort == "soak":
        found += [
            Suite("chaos/long", [run, "--minutes", CHAOS_MINUTES], 5400, alone=True),
            Suite("chaos/counted", [run, "--kills", "1000", "--power-cuts", "200"], 5400,
                  alone=True),
            script("chaos/plants", "tests/chaos/test_plants.py", 900, alone=True),
        ]
    return found


def units(effort):
    long = effort == "soak"
    return [Suite("unit/" + short(source), [path("build/san", source[:-len(".c")])],
                  3600 if long else 120, variables={"FLIPS": FLIPS[effort]})
            for source in sources("tests/unit/*/test_*.c")]


def fuzzing(effort):
    names = [os.path.splitext(os.path.basename(source))[0][len("fuzz_"):]
             for source in sources("tests/fuzz/fuzz_*.c")]
    limit = 120 if effort == "check" else 1200
    # The same inputs each time in check: what is new is looked for in the long run.
    seed = ["--seed", "1"] if effort == "check" else []
    found = [Suite("fuzz/" + name, [path("tests/fuzz/run"), "--seconds", FUZZ_SECONDS[effort],
                                    *seed, name], limit) for name in names]
    return [suite for suite in found if effort == "soak" or suite.name not in FUZZ_ONLY_SOAK]


def short(source):
    """tests/cluster/test_kills.py is the suite cluster/kills."""
    folder, name = os.path.split(source)
    return "%s/%s" % (os.path.basename(folder), os.path.splitext(name)[0][len("test_"):])


def clients(effort):
    variables = dict(DIFFERENTIAL[effort], SERVER=path("build/kvd"))
    limit = 300 if effort == "check" else 3600
    return [script(short(source), source, limit, variables=variables)
            for folder in ("interop", "cli", "lib")
            for source in sources("tests/%s/test_*.py" % folder)]


def repository():
    return [
        Suite("layers", [path("tests/layers")], 60),
        Suite("style", [path("tests/style")], 120),
        Suite("proof", [path("tests/proof")], 60),
        script("canary", "tests/canary/test_canary.py", 120),
        script("judge", "tests/canary/test_judge.py", 30),
    ]


def sanitized(suites, effort):
    return [Suite("sanitized/" + os.path.basename(suite.name), suite.command,
                  suite.limit_seconds * 2,
                  variables=dict(suite.variables, SERVER=path("build/san/kvd")))
            for suite in suites if suite.name in SANITIZED[effort]]


def all_suites(effort):
    """Everything, in the order in which it should start."""
    servers = chaos(effort) + clusters(effort) + clients(effort)
    own = simulations(effort) + sanitized(servers, effort) + units(effort) + fuzzing(effort)
    return servers + own + repository()

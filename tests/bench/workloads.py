"""What is measured, as a table. A workload runs the load on a cluster in its own way and
returns a dictionary of results: those that all have (rate, latencies, CPU, errors), and
"figures" of its own, by name."""

import glob
import os
import threading
import time
import urllib.request

import measure
from failover import failover
from handshakes import handshakes
from measure import Load

# Time for leases to be granted before they end together.
EXPIRE_AFTER_SECONDS = 20


def options_of(arguments, seconds=None):
    return ["--seconds", str(seconds or arguments.seconds), "--warm-up", str(arguments.warm_up),
            "--value-size", str(arguments.value_size), "--keys", str(arguments.keys)]


def fill(members, arguments):
    options = ["--connections", "6", "--streams", "16"]
    return Load(members, "fill", options_of(arguments) + options).result()


def plain(mode, *options):
    """Just the load, with these options."""
    def run(_, members, arguments):
        return Load(members, mode, options_of(arguments) + list(options)).result()
    return run


def put_load(members, arguments, watched=None):
    options = options_of(arguments) + ["--connections", "64", "--streams", "4"]
    return Load(members, "put", options, watched).result()


def idle_watchers(_, members, arguments):
    """Puts with and without many watchers of other keys on the first member."""
    n = arguments.idle_watchers
    one = members[:1]
    before = put_load(members, arguments, one)
    rss_before = measure.memory_mib(one[0])["RssAnon"]
    options = ["--seconds", "1", "--warm-up", "0", "--watchers", str(n), "--keys", str(n),
               "--connections", "20", "--streams", "5", "--writers", "4"]
    watch = Load(one, "watch", options, hold=True)
    rss = measure.memory_mib(one[0])["RssAnon"]
    result = put_load(members, arguments, one)
    rss_after = measure.memory_mib(one[0])["RssAnon"]
    check = watch.result()
    after = put_load(members, arguments, one)
    cpu_without = (before["server_cpu_us"] + after["server_cpu_us"]) / 2
    rate_without = (before["per_second"] + after["per_second"]) / 2
    result["errors"] += before["errors"] + after["errors"] + check["errors"]
    result["figures"] = {
        "RssAnon before, MiB": rss_before,
        "RssAnon with watchers, MiB": rss,
        "RssAnon after the puts, MiB": rss_after,
        "bytes per watcher": (rss - rss_before) * 2**20 / n,
        "CPU us per put without": cpu_without,
        "CPU us per put with": result["server_cpu_us"],
        "CPU with / without": result["server_cpu_us"] / cpu_without,
        "puts/s with / without": result["per_second"] / rate_without,
    }
    return result


def many_leases(_, members, arguments):
    """Memory of leases. The puts before fill the caches that have a fixed size."""
    put_load(members, arguments)
    before = [measure.memory_mib(member)["RssAnon"] for member in members]
    result = Load(members, "grant", [
        "--leases", str(arguments.leases), "--seconds", str(arguments.limit),
        "--connections", "64", "--streams", "16"]).result()
    time.sleep(1)
    after = [measure.memory_mib(member)["RssAnon"] for member in members]
    grown = [(b - a) * 2**20 / max(result["done"], 1) for a, b in zip(before, after)]
    result["figures"] = {"leases": result["done"], "RssAnon before, MiB": max(before),
                         "RssAnon after, MiB": max(after), "bytes per lease, most": max(grown),
                         "bytes per lease, least": min(grown)}
    return result


def turns(members):
    return [measure.metrics(member) for member in members]


def longest_turn(before, after):
    """Of all members between the two pages of metrics, in milliseconds: exact when it was
    the longest since the start, otherwise the upper bound of its bucket."""
    longest = 0
    for old, new in zip(before, after):
        top = new["kvd_turn_max_seconds"]
        if top == old["kvd_turn_max_seconds"]:
            prefix = 'kvd_turn_duration_seconds_bucket{le="'
            n = new["kvd_turn_duration_seconds_count"] - old["kvd_turn_duration_seconds_count"]
            bounds = sorted((float(name[len(prefix):-2]), new[name] - old[name])
                            for name in new if name.startswith(prefix))
            top = min([top] + [bound for bound, below in bounds if below >= n])
        longest = max(longest, top)
    return longest * 1e3


def expiry(system, members, arguments):
    pages = []
    measuring = (lambda: pages.append(turns(members))) if system == "kvd" else None
    result = Load(members, "expire", [
        "--leases", str(arguments.expiring), "--ttl", str(EXPIRE_AFTER_SECONDS),
        "--seconds", str(2 * arguments.limit), "--connections", "32", "--streams", "4"],
        measuring=measuring).result()
    result["figures"] = {"leases ended": result["ended"],
                         "all within, s": result["ended_within_s"],
                         "last after its time, ms": result["max_us"] / 1e3,
                         "longest read meanwhile, ms": result["reads_max_us"] / 1e3,
                         "p99 of reads meanwhile, ms": result["reads_p99_us"] / 1e3}
    if pages:
        after = turns(members)
        result["figures"]["longest turn at most, ms"] = longest_turn(pages[0], after)
        result["figures"]["turns over 10 ms"] = sum(
            new["kvd_long_turns_total"] - old["kvd_long_turns_total"]
            for old, new in zip(pages[0], after))
    return result


# A put load that leaves some of the machine idle: otherwise it is the load that is measured.
RESEED_LOAD = ("--connections", "4")
RESEED_LIMIT_SECONDS = 60
POLL_SECONDS = 0.02  # oftener, it is a load of its own


class Reseed:
    """A member whose database is gone is started: the time until
    it is ready again, and what memory it and the others needed meanwhile, at most."""

    def __init__(self, members, member):
        self.members = members
        self.member = member
        self.rss = [measure.memory_mib(one)["RssAnon"] for one in members]
        self.peak = [0] * len(members)
        self.ready_after = 0.0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self.wait_ready, self.watch_memory)]

    def lose_database(self):
        self.member.kill()
        for path in glob.glob(os.path.join(self.member.data_dir, "state-*")):
            os.remove(path)

    def start(self):
        self.member.start(self.member.options_used)
        for thread in self.threads:
            thread.start()

    def wait_ready(self):
        began = time.monotonic()
        while time.monotonic() < began + RESEED_LIMIT_SECONDS:
            try:
                with urllib.request.urlopen(self.member.client_url + "/readyz", timeout=1):
                    self.ready_after = time.monotonic() - began
                    break
            except OSError:
                time.sleep(POLL_SECONDS)
        self.stopping.set()

    def watch_memory(self):
        while not self.stopping.wait(POLL_SECONDS):
            for number, one in enumerate(self.members):
                now = measure.memory_mib(one).get("RssAnon", 0)
                self.peak[number] = max(self.peak[number], now)

    def finish(self):
        for thread in self.threads:
            thread.join()

    def grown(self, member):
        number = self.members.index(member)
        return self.peak[number] - self.rss[number]


def reseed(_, members, arguments):
    """A million keys, if --reseed-keys is not told otherwise, of which one member loses all:
    first while nobody writes, then beside a load."""
    Load(members, "fill", ["--keys", str(arguments.reseed_keys), "--connections", "6",
                           "--streams", "64", "--seconds", "1", "--warm-up", "0",
                           "--value-size", str(arguments.value_size)]).result()
    put = list(RESEED_LOAD) + ["--keys", str(arguments.reseed_keys), "--value-size",
                               str(arguments.value_size), "--warm-up", "1", "--seconds"]
    time.sleep(2)
    lost, others = members[-1], members[:-1]
    quiet = Reseed(members, lost)
    quiet.lose_database()
    quiet.start()
    quiet.finish()
    time.sleep(2)
    harm = Reseed(members, lost)
    harm.lose_database()
    before = Load(others, "put", put + ["8"]).result()
    result = Load(others, "put", put + ["4"], measuring=harm.start).result()
    harm.finish()
    sent = [measure.metrics(one)["kvd_state_stream_sent_bytes_total"] for one in others]
    fetched = measure.metrics(lost)
    result["errors"] += before["errors"]
    if not harm.ready_after or fetched["kvd_state_fetches_completed_total"] != 1 \
            or not quiet.ready_after:
        print("the member was not ready within %d s, or did not fetch the state"
              % RESEED_LIMIT_SECONDS)
        result["errors"] += 1
    result["figures"] = {
        "keys": arguments.reseed_keys,
        "MB of state": max(sent) / 1e6,
        "start to ready, s": quiet.ready_after,
        "start to ready beside puts, s": harm.ready_after,
        "RssAnon of it, + MiB at most": harm.grown(lost),
        "RssAnon of others, + MiB at most": max(harm.grown(one) for one in others),
        "put p99 before, us": before["p99_us"],
        "put p99 meanwhile, us": result["p99_us"],
        "put p99 meanwhile / before": result["p99_us"] / before["p99_us"],
    }
    return result


class Workload:
    """fresh: on a cluster of its own. secure: on one over TLS. beside: the workload that the
    other system runs."""

    def __init__(self, name, run, fresh=False, secure=False, system=None, beside=None):
        self.name = name
        self.run = run
        self.fresh = fresh
        self.secure = secure
        self.system = system
        self.beside = beside or name


WORKLOADS = (
    Workload("put, 1 at a time", plain("put", "--connections", "1")),
    Workload("put, 64 connections", plain("put")),
    Workload("put, 64 x 16", plain("put", "--streams", "16")),
    Workload("txn, 64 connections", plain("txn")),
    Workload("range, 1 at a time", plain("range", "--connections", "1")),
    Workload("range, 64 connections", plain("range")),
    Workload("range serializable, 64", plain("range", "--serializable")),
    Workload("range serializable, 64 x 16", plain("range", "--streams", "16", "--serializable")),
    Workload("half put half range, 64", plain("mixed")),
    Workload("watch one key, 1 put at a time", plain(
        "watch", "--watchers", "1000", "--keys", "1", "--connections", "12", "--streams", "4",
        "--writers", "1")),
    Workload("watch one key, 16 writers", plain(
        "watch", "--watchers", "1000", "--keys", "1", "--connections", "12", "--streams", "4",
        "--writers", "16")),
    Workload("watch 10k keys, 64 writers", plain(
        "watch", "--watchers", "10000", "--keys", "10000", "--connections", "12", "--streams",
        "4", "--writers", "64")),
    Workload("lock own names, 64 workers", plain("lock", "--keys", "64")),
    Workload("lock own names, kvd's service", plain("acquire", "--keys", "64"), system="kvd",
             beside="lock own names, 64 workers"),
    Workload("lock one name, 16 workers", plain("lock", "--connections", "16", "--keys", "1")),
    Workload("lock one name, kvd's service", plain(
        "acquire", "--connections", "16", "--keys", "1"), system="kvd",
        beside="lock one name, 16 workers"),
    Workload("keep-alive, 64 streams", plain("keep-alive", "--depth", "1")),
    Workload("keep-alive, 64 streams x 16", plain("keep-alive", "--depth", "16")),
    Workload("put, 64 connections, TLS", plain("put"), secure=True),
    Workload("range, 64 connections, TLS", plain("range"), secure=True),
    Workload("handshakes of TLS, 1 at a time", handshakes, secure=True),
    Workload("idle watchers, put 64 x 4", idle_watchers, fresh=True),
    Workload("leases granted, 64 x 16", many_leases, fresh=True),
    Workload("leases that end at once", expiry, fresh=True),
    Workload("kill the leader", failover, fresh=True),
    Workload("reseed a member", reseed, fresh=True, system="kvd"),
)

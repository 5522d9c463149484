"""What is measured, as a table. A workload runs the load on a cluster in its own way and
returns a dictionary of results: those that all have (rate, latencies, CPU, errors), and
"figures" of its own, by name."""

import time

import measure
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


class Workload:
    """fresh: on a cluster of its own. beside: the workload that the other system runs."""

    def __init__(self, name, run, fresh=False, system=None, beside=None):
        self.name = name
        self.run = run
        self.fresh = fresh
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
    Workload("idle watchers, put 64 x 4", idle_watchers, fresh=True),
    Workload("leases granted, 64 x 16", many_leases, fresh=True),
    Workload("leases that end at once", expiry, fresh=True),
)

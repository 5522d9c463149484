"""A small world of its own for a run: namespaces for processes, mounts and the network.

The run is the first process of a namespace of processes, so whatever ends it ends all that it
started; its mounts, loop devices and network namespaces are seen by nobody else and go with
it. Only files remain (tests/chaos/clean).

Network: the run itself, with its clients, sits on the hub 10.99.0.254; each member has a
namespace with one address on the hub's bridge. What breaks the network are nftables rules
within the members' namespaces.
"""

import os
import subprocess
import sys

INSIDE = "KVD_CHAOS_INSIDE"
NAMESPACES = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
HUB = "10.99.0.254"
CLIENT_PORT, PEER_PORT = 2379, 2380
PROXY_PORT = 2399
PROXY_MARK = 7  # of the proxy's own connections, which are not sent to the proxy again


class Impossible(Exception):
    """The machine does not allow what a run needs."""


def command(*words, text=None):
    """Runs a program that must succeed."""
    ended = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60,
                           check=False)
    if ended.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(words), ended.stderr.strip()))
    return ended.stdout


def enter():
    """Returns within the namespaces; outside of them the program begins anew inside."""
    if INSIDE in os.environ:
        del os.environ[INSIDE]
        return
    if os.geteuid() != 0:
        raise Impossible("needs root")
    tried = subprocess.run(NAMESPACES + ["nft", "list", "ruleset"], capture_output=True,
                           text=True, check=False)
    if tried.returncode != 0 or not os.path.exists("/dev/loop-control"):
        raise Impossible("needs namespaces, loop devices and the package nftables (%s)" %
                         (tried.stderr.strip() or "no /dev/loop-control"))
    os.environ[INSIDE] = "1"
    sys.stdout.flush()
    os.execvp(NAMESPACES[0], NAMESPACES + [sys.executable, *sys.argv])


def make_hub():
    """The bridge. Names of network namespaces go to a folder that only this run sees."""
    os.makedirs("/run/netns", exist_ok=True)
    command("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "hub", "type", "bridge")
    command("ip", "address", "add", HUB + "/24", "dev", "hub")
    command("ip", "link", "set", "hub", "up")


class Place:
    """Where something runs on the network: its namespace and the rules in force there."""

    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.rules = {}     # of whoever broke something: [line of nftables for what comes in]
        self.diverted = {}  # the same: [addresses whose connections go to the proxy]

    def make(self):
        command("ip", "netns", "add", self.name)
        command("ip", "link", "add", "to-" + self.name, "type", "veth", "peer", "name", "eth0",
                "netns", self.name)
        command("ip", "link", "set", "to-" + self.name, "master", "hub", "up")
        for words in (("link", "set", "lo", "up"), ("link", "set", "eth0", "up"),
                      ("address", "add", self.address + "/24", "dev", "eth0")):
            command("ip", "-n", self.name, *words)

    def remove(self):
        """Nothing runs here any more. The kernel takes its time with the namespace, so the
        cable goes first."""
        command("ip", "link", "delete", "to-" + self.name)
        command("ip", "netns", "delete", self.name)

    def inside(self, words):
        """The command line that runs something here."""
        return ["nsenter", "--net=/run/netns/" + self.name, "--", *words]

    def set_rules(self, owner, rules=(), diverted=()):
        """Replaces what one owner has in force; both empty: nothing any more."""
        for table, lines in ((self.rules, rules), (self.diverted, diverted)):
            if lines:
                table[owner] = list(lines)
            else:
                table.pop(owner, None)
        command(*self.inside(["nft", "-f", "-"]), text=self.ruleset())

    def ruleset(self):
        rules = [line for lines in self.rules.values() for line in lines]
        to_proxy = sorted({one for addresses in self.diverted.values() for one in addresses})
        text = "table ip chaos\ndelete table ip chaos\n"
        if rules or to_proxy:
            text += "table ip chaos {\n"
            text += chain("incoming", "filter", "input", 0, rules)
            if to_proxy:
                text += self.diversion(to_proxy)
            text += "}\n"
        return text

    @staticmethod
    def diversion(addresses):
        """New connections go to the proxy, those that did not yet are reset."""
        targets = "ip daddr { %s } tcp dport { %d, %d } meta mark != %d" % (
            ", ".join(addresses), CLIENT_PORT, PEER_PORT, PROXY_MARK)
        return chain("divert", "nat", "output", -100,
                     ["%s redirect to :%d" % (targets, PROXY_PORT)]) + \
            chain("outgoing", "filter", "output", 0, [targets + " reject with tcp reset"])


class Hub(Place):
    """The place of the clients: the namespace of the run itself."""

    def __init__(self):
        super().__init__("clients", HUB)

    def inside(self, words):
        return words


def chain(name, kind, hook, priority, rules):
    return "chain %s {\n type %s hook %s priority %d\n%s}\n" % (
        name, kind, hook, priority, "".join(" %s\n" % rule for rule in rules))

"""One server over TLS, and kvctl and etcdctl as its clients.

All certificates are made by kvctl cert; libfaketime makes those of other times. A server reads its
certificate again when its files change, so that one server serves a whole table of certificates.
"""

import glob
import os
import shutil
import signal
import subprocess
import time

import cluster
from ports import ROOT

KVCTL = os.environ.get("KVCTL", os.path.join(ROOT, "build", "kvctl"))
LIMIT_SECONDS = 30
OTHER_LOOPBACK = "127.0.0.2"  # reached like 127.0.0.1, and in no certificate


def shifted(days):
    """The environment of a program whose clock is some days off."""
    if days == 0:
        return cluster.environment()
    library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert library, "libfaketime is not installed"
    return dict(cluster.environment(), LD_PRELOAD=library[0], FAKETIME="%+dd" % days)


def kvctl(*arguments, stdin=b"", days=0):
    return subprocess.run([KVCTL, *arguments], input=stdin, capture_output=True,
                          env=shifted(days), timeout=LIMIT_SECONDS, check=False)


def cert(*arguments, days=0):
    ended = kvctl("cert", *arguments, days=days)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()


class Secured:
    """The server, started with certificates of both sides required."""

    def __init__(self, name, server):
        self.folder = os.path.join(cluster.WORK, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.ours = path_is_kvd(server)
        cert("init", self.path("ca"), "--members", "m1")
        cert("init", self.path("other"), "--members", "m1")
        self.member = cluster.Member("m1", self.folder, server)
        self.member.variables["ETCD_CLIENT_CERT_AUTH"] = "true"
        self.serve("ca", "m1")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def url(self, host="127.0.0.1"):
        return "https://%s:%d" % (host, self.member.client_port)

    def start(self):
        options = self.member.options("m1=" + self.member.peer_url, "tls")
        options.update({
            "--listen-client-urls": self.url() + "," + self.url(OTHER_LOOPBACK),
            "--advertise-client-urls": self.url(),
            "--cert-file": self.path("server.crt"),
            "--key-file": self.path("server.key"),
            "--trusted-ca-file": self.path("ca", "ca.crt"),
        })
        self.member.start(options)
        deadline = time.monotonic() + cluster.READY_SECONDS
        while self.ask("get", "x").returncode != 0:
            assert self.member.running() and time.monotonic() < deadline, self.member.log_tail()
            time.sleep(0.1)

    def serve(self, folder, name):
        """This certificate is the server's from now on."""
        for suffix in (".key", ".crt"):
            shutil.copy(self.path(folder, name + suffix), self.path("new"))
            os.rename(self.path("new"), self.path("server" + suffix))
        if self.ours and self.member.running():
            self.member.process.send_signal(signal.SIGHUP)

    def options(self, ca="ca", client=("ca", "root")):
        """Of kvctl and etcdctl: this CA, and the certificate NAME of a folder."""
        found = ["--cacert", self.path(ca, "ca.crt")] if ca else []
        if client:
            found += ["--cert", self.path(client[0], client[1] + ".crt"),
                      "--key", self.path(client[0], client[1] + ".key")]
        return found

    def ask(self, *arguments, host="127.0.0.1", stdin=b"", days=0, **trust):
        """kvctl through https:// at this host, with a clock that is some days off."""
        return kvctl("--endpoints", self.url(host), *self.options(**trust), *arguments,
                     stdin=stdin, days=days)

    def close(self):
        self.member.close()
        finding = cluster.sanitizer_finding(self.member.log_path)
        assert finding is None, finding


def path_is_kvd(server):
    return os.path.basename(server) == "kvd"

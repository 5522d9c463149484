"""A cluster that speaks TLS only, to clients and between members, and clients for it.

All certificates are made by kvctl cert. A member's files are copies in a folder of its own, so
that a test can replace them while it runs.
"""

import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

# A refused handshake is what some tests want, and no news; to be said before grpc is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402

import cluster  # noqa: E402
from client import CHANNEL_OPTIONS, Client  # noqa: E402

KVCTL = os.path.join(cluster.ROOT, "build", "kvctl")


def cert(*arguments):
    ended = subprocess.run([KVCTL, "cert", *arguments], capture_output=True, text=True,
                           env=cluster.environment(), timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr


def read(path):
    with open(path, "rb") as file:
        return file.read()


class SecureClient(Client):
    """folder has ca.crt and NAME.crt and NAME.key of the client; NAME None: no certificate."""

    def __init__(self, endpoint, folder, name="root", timeout=5.0):
        self.folder = folder
        self.name = name
        super().__init__(endpoint, timeout)

    def connect(self):
        own = [None, None]
        if self.name:
            own = [read(os.path.join(self.folder, self.name + end)) for end in (".key", ".crt")]
        trust = grpc.ssl_channel_credentials(read(os.path.join(self.folder, "ca.crt")), *own)
        self.channel = grpc.secure_channel(self.endpoint, trust, options=CHANNEL_OPTIONS)


class SecureMember(cluster.Member):
    """folder/pki has what kvctl cert init makes."""

    def __init__(self, name, folder, server=cluster.SERVER):
        super().__init__(name, folder, server)
        self.pki = os.path.join(folder, "pki")
        self.files = os.path.join(folder, name + ".tls")
        self.client.close()

    @property
    def client_url(self):
        return "https://" + self.endpoint

    @property
    def peer_url(self):
        return "https://127.0.0.1:%d" % self.peer_port

    def take_certificate(self, name):
        """From now on the one of that name in the folder is this member's."""
        os.makedirs(self.files, exist_ok=True)
        for source, target in ((name + ".crt", "own.crt"), (name + ".key", "own.key"),
                               ("ca.crt", "ca.crt")):
            shutil.copy(os.path.join(self.pki, source), os.path.join(self.files, "new"))
            os.rename(os.path.join(self.files, "new"), os.path.join(self.files, target))

    def options(self, initial_cluster, token):
        own, key, trusted = (os.path.join(self.files, name)
                             for name in ("own.crt", "own.key", "ca.crt"))
        return dict(super().options(initial_cluster, token), **{
            "--cert-file": own, "--key-file": key, "--trusted-ca-file": trusted,
            "--peer-cert-file": own, "--peer-key-file": key, "--peer-trusted-ca-file": trusted,
        })

    def trust(self):
        """How a client of Python's sees and shows certificates; it offers what curl does."""
        context = ssl.create_default_context(cafile=os.path.join(self.pki, "ca.crt"))
        context.load_cert_chain(os.path.join(self.pki, "root.crt"),
                                os.path.join(self.pki, "root.key"))
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def page(self, path):
        try:
            with urllib.request.urlopen(self.client_url + path, timeout=10,
                                        context=self.trust()) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def metric(self, name):
        """The sum of the samples of that name."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.page("/metrics").splitlines()
                   if line.split("{")[0].split(" ")[0] == name)


class SecureCluster(cluster.Cluster):
    member_type = SecureMember

    def __init__(self, test_name, size=3, options=None, server=cluster.SERVER):
        super().__init__(test_name, size, options, server)
        self.pki = os.path.join(self.folder, "pki")
        cert("init", self.pki, "--members", ",".join(one.name for one in self.members))
        for member in self.members:
            member.take_certificate(member.name)
            member.client = self.connect(member.endpoint)

    def connect(self, endpoint, timeout=5.0):
        return SecureClient(endpoint, self.pki, timeout=timeout)

    def etcdctl(self, *arguments):
        """Its output, through all members."""
        ended = subprocess.run(
            ["etcdctl", "--endpoints", ",".join(one.client_url for one in self.members),
             "--cacert", os.path.join(self.pki, "ca.crt"),
             "--cert", os.path.join(self.pki, "root.crt"),
             "--key", os.path.join(self.pki, "root.key"), *arguments],
            capture_output=True, text=True, timeout=30, check=False,
            env=dict(cluster.environment(), ETCDCTL_API="3"))
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

"""A small client for one member, on Debian's grpcio and the messages of its etcd3 module.

It never retries and never goes to another member: a test wants to know what one member said.
A failed write ends in Unknown when it may have happened, in Refused when it has not.
"""

import grpc
from etcd3 import etcdrpc

CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)

# After these the write may still happen; after any other code it has not and will not.
OUTCOME_UNKNOWN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)


class Failed(Exception):
    """A call that brought no answer; code is gRPC's, text the server's."""

    def __init__(self, error):
        self.code = error.code()
        self.text = error.details() or ""
        self.trailers = dict(error.trailing_metadata() or ())
        super().__init__("%s: %s" % (self.code.name, self.text))


class Unknown(Failed):
    """The call may have taken effect, or still will."""


class Refused(Failed):
    """The call has not taken effect and never will."""


def prefix_end(prefix):
    """The key behind all keys with a prefix, as clients of etcd compute it."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b"\0"
    return stripped[:-1] + bytes([stripped[-1] + 1])


class Client:
    def __init__(self, endpoint, timeout=5.0):
        self.endpoint = endpoint
        self.timeout = timeout
        self.connect()

    def connect(self):
        self.channel = grpc.insecure_channel(self.endpoint, options=CHANNEL_OPTIONS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()

    def call(self, path, request, timeout=None):
        reply = getattr(etcdrpc, type(request).__name__.replace("Request", "Response"))
        method = self.channel.unary_unary("/etcdserverpb." + path,
                                          type(request).SerializeToString, reply.FromString)
        return self.outcome(method, request, timeout)

    def raw(self, path, payload, timeout=None):
        """Calls a method with bytes that need not be a message; returns the reply's bytes."""
        return self.outcome(self.channel.unary_unary("/etcdserverpb." + path), payload, timeout)

    def outcome(self, method, request, timeout):
        try:
            return method(request, timeout=timeout or self.timeout)
        except grpc.RpcError as error:
            # A channel that failed to connect would wait before it tries again.
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                self.close()
                self.connect()
            kind = Unknown if error.code() in OUTCOME_UNKNOWN else Refused
            raise kind(error) from None

    def put(self, key, value, timeout=None):
        """Returns the revision of the write."""
        request = etcdrpc.PutRequest(key=key, value=value)
        return self.call("KV/Put", request, timeout).header.revision

    def get(self, key, serializable=False, timeout=None):
        """Returns the KeyValue, or None."""
        request = etcdrpc.RangeRequest(key=key, serializable=serializable)
        kvs = self.call("KV/Range", request, timeout).kvs
        return kvs[0] if kvs else None

    def range(self, key, range_end=b"", timeout=None, **more):
        request = etcdrpc.RangeRequest(key=key, range_end=range_end, **more)
        return self.call("KV/Range", request, timeout)

    def prefix(self, prefix, timeout=None, **more):
        return self.range(prefix, prefix_end(prefix), timeout, **more)

    def everything(self, serializable=True, timeout=30, **more):
        return self.range(b"\0", b"\0", timeout, serializable=serializable, **more)

    def delete(self, key, range_end=b"", timeout=None):
        """Returns how many keys were deleted."""
        request = etcdrpc.DeleteRangeRequest(key=key, range_end=range_end)
        return self.call("KV/DeleteRange", request, timeout).deleted

    def txn(self, compare=(), success=(), failure=(), timeout=None):
        request = etcdrpc.TxnRequest(compare=compare, success=success, failure=failure)
        return self.call("KV/Txn", request, timeout)

    def compact(self, revision, physical=False, timeout=None):
        request = etcdrpc.CompactionRequest(revision=revision, physical=physical)
        return self.call("KV/Compact", request, timeout)

    def status(self, timeout=None):
        return self.call("Maintenance/Status", etcdrpc.StatusRequest(), timeout)

    def members(self, timeout=None):
        return self.call("Cluster/MemberList", etcdrpc.MemberListRequest(), timeout).members


def op_put(key, value):
    return etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=key, value=value))


def op_get(key, range_end=b""):
    return etcdrpc.RequestOp(request_range=etcdrpc.RangeRequest(key=key, range_end=range_end))


def op_delete(key, range_end=b""):
    return etcdrpc.RequestOp(
        request_delete_range=etcdrpc.DeleteRangeRequest(key=key, range_end=range_end))


def mod_revision_is(key, revision):
    return etcdrpc.Compare(result=etcdrpc.Compare.EQUAL, target=etcdrpc.Compare.MOD, key=key,
                           mod_revision=revision)


def value_is(key, value):
    return etcdrpc.Compare(result=etcdrpc.Compare.EQUAL, target=etcdrpc.Compare.VALUE, key=key,
                           value=value)

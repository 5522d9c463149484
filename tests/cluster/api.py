"""Every method of the repository's own .proto files, without generated Python.

protoc-c writes down what the files describe; Python's protobuf makes the messages from that, in
a pool of their own, because Debian's etcd3 module brings older messages of the same names. A
request is given by its fields: api.call("v3lockpb.Lock/Lock", name=b"n", lease=7).
"""

import glob
import os
import queue
import subprocess
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import ports
from client import CHANNEL_OPTIONS, OUTCOME_UNKNOWN, Failed, Refused, Unknown

PROTO = os.path.join(ports.ROOT, "proto", "api")


def described():
    """What the .proto files say, each file behind those that it imports."""
    files = sorted(os.path.basename(path) for path in glob.glob(os.path.join(PROTO, "*.proto")))
    ended = subprocess.run(["protoc-c", "--include_imports", "--descriptor_set_out=/dev/stdout"] +
                           files, cwd=PROTO, capture_output=True, timeout=60, check=True)
    return descriptor_pb2.FileDescriptorSet.FromString(ended.stdout).file


class Method:
    """One row of a service: its path, its messages and which sides stream."""

    def __init__(self, package, service, row):
        self.path = "/%s.%s/%s" % (package, service, row.name)
        self.request = message(row.input_type[1:])
        self.reply = message(row.output_type[1:])
        self.streams = (row.client_streaming, row.server_streaming)


def message(name):
    """The class of a message: message("etcdserverpb.WatchRequest")."""
    if name not in classes:
        classes[name] = message_factory.MessageFactory(pool).GetPrototype(
            pool.FindMessageTypeByName(name))
    return classes[name]


def load():
    found = {}
    files = described()
    for file in files:
        pool.Add(file)
    for file in files:
        for service in file.service:
            for row in service.method:
                name = "%s.%s/%s" % (file.package, service.name, row.name)
                found[name] = Method(file.package, service.name, row)
    return found


pool = descriptor_pool.DescriptorPool()
classes = {}
methods = load()


def failure(error):
    return (Unknown if error.code() in OUTCOME_UNKNOWN else Refused)(error)


class Pending:
    """A call under way: wait for its reply, or cancel it."""

    def __init__(self, future):
        self.future = future

    def done(self):
        return self.future.done()

    def wait(self, seconds=10):
        try:
            return self.future.result(seconds)
        except grpc.FutureTimeoutError:
            raise TimeoutError("no reply within %g s" % seconds) from None
        except grpc.FutureCancelledError:
            raise TimeoutError("canceled here") from None
        except grpc.RpcError as error:
            raise failure(error) from None

    def cancel(self):
        self.future.cancel()


class Stream:
    """A call whose replies are a stream, and perhaps its requests: read with a time limit, or,
    when not eager, one by one with replies()."""

    END = object()

    def __init__(self, channel, method, first=None, metadata=None, raw=False, eager=True):
        self.method = method
        self.outgoing = queue.SimpleQueue()
        self.incoming = queue.SimpleQueue()
        self.error = None   # how it ended: None while it runs and when it ended well
        self.ended = threading.Event()
        serialize = (lambda request: request) if raw else method.request.SerializeToString
        kind = channel.stream_stream if method.streams[0] else channel.unary_stream
        self.running = kind(method.path, serialize, method.reply.FromString)(
            iter(self.outgoing.get, self.END) if method.streams[0] else first,
            metadata=metadata)
        if eager:
            threading.Thread(target=self.listen, daemon=True).start()

    def replies(self):
        """As the client takes them; raises the error that ends the stream."""
        try:
            yield from self.running
        except grpc.RpcError as error:
            self.error = failure(error)
            raise self.error from None
        finally:
            self.ended.set()

    def listen(self):
        try:
            for reply in self.replies():
                self.incoming.put(reply)
        except Failed:
            pass  # wait_end() returns it
        self.incoming.put(self.END)

    def send(self, **fields):
        self.outgoing.put(self.method.request(**fields))

    def send_raw(self, payload):
        """With raw=True: bytes that need not be a message."""
        self.outgoing.put(payload)

    def send_all(self):
        """Says that there will be no more requests."""
        self.outgoing.put(self.END)

    def read(self, seconds=5):
        """The next reply; None when none comes in time or the stream has ended."""
        try:
            reply = self.incoming.get(timeout=seconds)
        except queue.Empty:
            return None
        if reply is self.END:
            self.incoming.put(self.END)
            return None
        return reply

    def wait_end(self, seconds=5):
        """Until the stream has ended; returns the error that ended it, None if none did."""
        if not self.ended.wait(seconds):
            raise TimeoutError("the stream has not ended within %g s" % seconds)
        return self.error

    def cancel(self):
        self.running.cancel()
        self.outgoing.put(self.END)


class Api:
    """Calls to one member; like client.Client it never tries again."""

    def __init__(self, endpoint, timeout=10.0):
        self.endpoint = endpoint
        self.timeout = timeout
        self.channel = grpc.insecure_channel(endpoint, options=CHANNEL_OPTIONS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()

    def begin(self, name, /, metadata=None, timeout=None, **fields):
        method = methods[name]
        call = self.channel.unary_unary(method.path, method.request.SerializeToString,
                                        method.reply.FromString)
        return Pending(call.future(method.request(**fields), timeout=timeout, metadata=metadata))

    def call(self, name, /, metadata=None, timeout=None, **fields):
        limit = timeout or self.timeout
        return self.begin(name, metadata, limit, **fields).wait(limit + 5)

    def raw(self, name, payload, timeout=None):
        """Calls a method with bytes that need not be a message."""
        method = methods[name]
        call = self.channel.unary_unary(method.path, None, method.reply.FromString)
        return Pending(call.future(payload, timeout=timeout or self.timeout)).wait()

    def stream(self, name, /, metadata=None, raw=False, **fields):
        """A stream; fields make the only request of a method that takes one."""
        method = methods[name]
        first = None if method.streams[0] else method.request(**fields)
        return Stream(self.channel, method, first, metadata, raw)

"""Bytes that no honest client sends: protobuf bombs, HTTP/2 floods, garbage."""

import os
import random
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 0x1, 0x4
SEND_SECONDS = 5


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + \
        struct.pack(">I", stream) + payload


def literal(name, value):
    """A header field without indexing and without Huffman; both shorter than 127 bytes."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request_headers(path=b"/etcdserverpb.KV/Range"):
    return b"".join(literal(name, value) for name, value in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path),
        (b":authority", b"localhost"), (b"content-type", b"application/grpc"),
        (b"te", b"trailers")))


def opening():
    return PREFACE + frame(SETTINGS)


def varint(number):
    out = b""
    while number > 0x7f:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, payload):
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def nested_txn(size):
    """TxnRequest.success -> RequestOp.request_txn -> TxnRequest ... up to size bytes."""
    message = b""
    while len(message) < size:
        message = field(2, field(4, message))
    return message


def empty_ops(size):
    """A transaction of nothing but empty operations: few bytes here, many structs there."""
    return field(2, b"") * (size // 2)


def bad_utf8():
    """MemberAddRequest.peerURLs with bytes that are no text."""
    return field(1, b"http://\xff\xfe\x80:1")


def send(port, payload, wait=0.2):
    """Sends to a port of this machine, reads what comes for a moment, hangs up."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=SEND_SECONDS) as peer:
        try:
            peer.sendall(payload)
            peer.settimeout(wait)
            while len(received) < 1 << 20:
                part = peer.recv(65536)
                if not part:
                    break
                received += part
        except OSError:
            pass
    return received


def client_floods():
    """(name, bytes) for the client port."""
    headers = request_headers()
    many = 20000
    resets = b"".join(
        frame(HEADERS, END_HEADERS, 2 * i + 1, headers) +
        frame(RST_STREAM, 0, 2 * i + 1, struct.pack(">I", 8)) for i in range(many))
    return (
        ("rapid reset", opening() + resets),
        ("pings", opening() + frame(PING, 0, 0, b"12345678") * many),
        ("settings", opening() + frame(SETTINGS) * many),
        ("empty data", opening() + frame(HEADERS, END_HEADERS, 1, headers) +
         frame(DATA, 0, 1) * many),
        ("continuation", opening() + frame(HEADERS, 0, 1, headers) +
         frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100)) * many),
        ("header bomb", opening() + frame(HEADERS, END_HEADERS, 1, headers +
         literal(b"big", b"z" * 120) * 100)),
        ("a frame longer than allowed", opening() + b"\xff\xff\xff" + bytes(6) +
         os.urandom(65536)),
        ("a frame cut short", opening() + frame(HEADERS, END_HEADERS, 1, headers)[:20]),
        ("a window of more than 2^31", opening() +
         frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)) * 2),
        ("HTTP/1 without an end", b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 50000),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500)),
    )


def crc32c(data):
    """Castagnoli's, bit by bit: for short frames."""
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def peer_frame(kind, body=b""):
    """A frame as members send them: 12 bytes of header, the checksum last, and the body."""
    head = struct.pack("<IBBH", len(body), kind, 0, 0)
    return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body


def bad_peer_frame(draw):
    """One that is wrong somewhere: a message that is none, or a good frame with a byte changed."""
    kind = draw.choice((1, 2, 4, 7, 11, 32, 64, 66))
    frame = bytearray(peer_frame(kind, draw.randbytes(draw.randrange(1, 40))))
    if draw.random() < 0.5:
        frame[draw.randrange(len(frame))] ^= draw.randrange(1, 256)
    return bytes(frame)


def peer_floods():
    """(name, bytes) for the peer port: frames with a 12-byte header of length, type, CRC."""
    return (
        ("a length of 4 GiB", struct.pack("<IBBHI", 0xffffffff, 1, 0, 0, 0) + bytes(4096)),
        ("a length of 8 MiB and little to follow",
         struct.pack("<IBBHI", 8 << 20, 1, 0, 0, 0) + bytes(4096)),
        ("a wrong checksum", struct.pack("<IBBHI", 64, 1, 0, 0, 12345) + bytes(64)),
        ("an unknown type", peer_frame(255) * 100000),
        ("nothing but zeros", bytes(1 << 20)),
        ("HTTP", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 1000),
    )


def garbage(seed, size):
    return random.Random(seed).randbytes(size)

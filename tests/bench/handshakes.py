"""Connections over TLS that are made anew each time, with certificates of both sides: what a member
pays for them."""

import os
import socket
import ssl
import time

import measure

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # and empty SETTINGS


def connect(trust, member):
    """Until the member has said something in HTTP/2: only then has it judged the certificate."""
    with socket.create_connection(("127.0.0.1", member.client_port), 10) as plain:
        with trust.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(PREFACE)
            return len(stream.recv(9)) > 0


def handshakes(_, members, arguments):
    member = members[0]
    trust = ssl.create_default_context(cafile=os.path.join(member.pki, "ca.crt"))
    trust.load_cert_chain(os.path.join(member.pki, "root.crt"),
                          os.path.join(member.pki, "root.key"))
    trust.set_alpn_protocols(["h2"])
    took, errors = [], 0
    used = measure.cpu_seconds([member])
    began = time.perf_counter()
    while time.perf_counter() < began + arguments.seconds:
        start = time.perf_counter()
        errors += not connect(trust, member)
        took.append((time.perf_counter() - start) * 1e6)
    seconds = time.perf_counter() - began
    cpu_us = (measure.cpu_seconds([member]) - used) * 1e6 / len(took)
    took.sort()
    return {"per_second": len(took) / seconds, "errors": errors, "done": len(took),
            "p50_us": took[len(took) // 2], "p99_us": took[len(took) * 99 // 100],
            "p999_us": took[len(took) * 999 // 1000], "server_cpu_us": cpu_us,
            "figures": {"handshakes a second of a core": 1e6 / cpu_us}}

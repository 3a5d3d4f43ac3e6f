"""Requests and answers between velo-ctl and a child or the parent, over a stream socket.

A request is a length (4 bytes, little-endian), then fields of a length and bytes each, in the order of FIELDS. The
descriptors come with its first byte: the working directory, then those of `targets`. Answers are a letter and a number.
"""
import _socket

VERSION = b"1"
FIELDS = (
    "version", "slot", "arguments", "environment", "kind", "begin", "umask", "ignored", "blocked", "targets", "limits",
    "group", "cgroup", "name", "record",
)
LENGTH_MAX = 8 << 20
DESCRIPTORS_MAX = 253

# Answers. Of the child: it is ready, with its number (and a descriptor of it), or refuses with a reason.
READY, REFUSED = b"P", b"R"
# Of the parent: it ended with a wait status, was stopped by a signal, goes on.
ENDED, STOPPED, CONTINUED = b"X", b"T", b"C"
# Of the client: run.
GO = b"G"


class Refused(Exception):
    """Why the application must start without a parent."""


def receive(connection):
    """One request as a dictionary, and the descriptors that came with it."""
    descriptors = []
    data, more, _flags, _address = connection.recvmsg(65536, _socket.CMSG_SPACE(DESCRIPTORS_MAX * 4))
    for level, kind, content in more:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            content = content[: len(content) - len(content) % 4]
            descriptors += [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)]
    parts, size, total = [data], len(data), None
    while total is None or size < total:
        if total is None and size >= 4:
            total = 4 + int.from_bytes(b"".join(parts)[:4], "little")
            if total > LENGTH_MAX:
                raise Refused("the request is too long")
            continue
        data = connection.recv(65536)
        if not data:
            raise Refused("the client went away")
        parts.append(data)
        size += len(data)
    return parse(memoryview(b"".join(parts))[4:total]), descriptors


def parse(payload):
    """The fields of a payload."""
    fields, at = [], 0
    while at < len(payload):
        length = int.from_bytes(payload[at : at + 4], "little")
        if at + 4 + length > len(payload):
            raise Refused("the request is cut short")
        fields.append(bytes(payload[at + 4 : at + 4 + length]))
        at += 4 + length
    if len(fields) != len(FIELDS) or fields[0] != VERSION:
        raise Refused("the request is of another version")
    return dict(zip(FIELDS, fields))


def strings(field):
    """A list of strings, each ended by a NUL."""
    return field.split(b"\0")[:-1]


def number(letter, value):
    """An answer with a number."""
    return letter + value.to_bytes(4, "little")


def ready(connection, pid, parent, descriptor):
    """The child is prepared: its process number, its parent's, and a descriptor of it."""
    rights = descriptor.to_bytes(4, "little")
    message = number(READY, pid) + parent.to_bytes(4, "little")
    connection.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])


def refuse(connection, reason):
    """The child will not run."""
    text = str(reason).encode("utf-8", "replace")[:1000]
    connection.sendall(number(REFUSED, len(text)) + text)

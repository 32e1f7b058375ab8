"""Where the daemon listens: a unix socket of its owner's alone, or TCP with TLS.

In plain text it listens on loopback alone.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_SOCKET_PATH_BYTES = 107
"""What fits in ``sockaddr_un`` with its closing zero."""


class AddressRefused(Exception):
    """The daemon will not, or cannot, listen there."""


def check_tcp(address: str, *, has_tls: bool = False) -> str:
    """Return ``host:port`` if it may be listened on.

    Raises:
        AddressRefused: It is malformed, or reaches beyond this machine without TLS: tokens and
            code would then go over the wire for all to read.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise AddressRefused(f"{address!r} is not HOST:PORT")
    if not has_tls and not is_loopback(host.strip("[]")):
        raise AddressRefused(
            f"{address!r} is not on loopback: without TLS the daemon listens only on "
            "127.0.0.1, [::1] and localhost; give it --tls-cert and --tls-key"
        )
    return address


def check_socket_path(path: Path, *others: Path) -> None:
    """Raise AddressRefused unless a unix socket may be put at a path.

    Args:
        path: Where nothing is, or a dead daemon's socket.
        others: Further paths that it has meanwhile.
    """
    longest = max((path, *others), key=lambda each: len(os.fsencode(each)))
    if len(os.fsencode(longest)) > MAX_SOCKET_PATH_BYTES:
        raise AddressRefused(
            f"{longest} is longer than the {MAX_SOCKET_PATH_BYTES} bytes that a unix socket's "
            "path may have; choose a shorter one"
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise AddressRefused(f"{path} is not a socket; move it away, or choose another path")
    if _is_served(path):
        raise AddressRefused(f"another daemon already serves on {path}")


@contextmanager
def owner_only() -> Iterator[None]:
    """Let a socket that is made meanwhile be its owner's alone, from its first moment."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def is_loopback(host: str) -> bool:
    """Return whether a host, a name or an address without brackets, is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True

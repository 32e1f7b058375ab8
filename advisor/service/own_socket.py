"""The daemon's own unix socket: one server at a path, and a secret for those who may use it.

Reaching a socket is no authority where strangers' code runs as the daemon's user: who calls through
it shows the secret, which lies beside it in a file that a sandbox hides. The socket is made under a
name of its own and moved into place, so that neither gRPC, which removes the name that it was
given, nor a daemon that ends removes the socket of the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from bsadvise.paths import socket_secret_path

from advisor.service.address import check_socket_path, owner_only

_NAME_BYTES = 4
"""Of the name under which a socket is made: shorter than most, since its path has a limit."""


class OwnSocket:
    """A unix socket of one daemon.

    Attributes:
        secret: What callers show who come through it.
    """

    def __init__(self, path: Path) -> None:
        """Take note of where it is to be.

        Args:
            path: The socket's path.
        """
        self.secret = secrets.token_urlsafe(32)
        self._path = path
        self._made: dict[Path, tuple[int, int]] = {}

    def bind(self, add_port: Callable[[str], object]) -> None:
        """Make the socket and its secret; of two daemons that try at once, one does.

        Args:
            add_port: Binds a gRPC target and listens.

        Raises:
            AddressRefused: Something else is at the path, or a daemon serves on it.
            OSError: It cannot be made.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked(os.O_CREAT):
            new = self._path.with_name(f".{secrets.token_hex(_NAME_BYTES)}")
            check_socket_path(self._path, new)
            with owner_only():
                add_port(f"unix:{new}")
            self._write_secret()
            self._move(new, self._path)

    def remove(self) -> None:
        """Remove the socket and its secret, unless another daemon's are there by now."""
        with contextlib.suppress(FileNotFoundError), self._locked(0):
            for path, identity in self._made.items():
                with contextlib.suppress(FileNotFoundError):
                    if _identity(path) == identity:
                        path.unlink()

    def _write_secret(self) -> None:
        path = socket_secret_path(self._path)
        new = path.with_name(f".{secrets.token_hex(_NAME_BYTES)}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{self.secret}\n")
        self._move(new, path)

    def _move(self, new: Path, path: Path) -> None:
        self._made[path] = _identity(new)
        new.replace(path)

    @contextlib.contextmanager
    def _locked(self, flags: int) -> Iterator[None]:
        # The file stays: whoever removed it would let two hold what each takes for the lock.
        descriptor = os.open(lock_path(self._path), os.O_RDWR | os.O_NOFOLLOW | flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def lock_path(socket: Path) -> Path:
    """Return what whoever makes or removes a socket holds meanwhile."""
    return socket.with_name(f"{socket.name}.lock")


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino

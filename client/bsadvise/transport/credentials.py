"""What a client shows to a daemon elsewhere, and what it wants to see of it.

Through a unix socket goes the secret that its daemon keeps beside it, and nothing else. To any
machine but this one a client speaks TLS alone, so that neither its token nor its code is there for
all to read.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

from bsadvise.model.errors import AddressUnusable
from bsadvise.paths import normalise, socket_secret_path

_UNIX = "unix:"
_SCHEMES = ("https://", "http://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A client's token and certificates.

    Attributes:
        token: A bearer token; None for none.
        ca_file: Authority of the daemon's certificate, PEM; None for those that gRPC brings.
        cert_file: The client's own certificate, PEM, where the daemon asks for one.
        key_file: Its private key, PEM.
    """

    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what ``BSADVISE_TOKEN`` or ``_TOKEN_FILE``, and ``_CA_FILE`` and so on, say."""
        token_file = _path(environment, "TOKEN_FILE")
        token = environment.get("BSADVISE_TOKEN") or (token_file and read_token(token_file))
        return cls(
            token=token or None,
            ca_file=_path(environment, "CA_FILE"),
            cert_file=_path(environment, "CERT_FILE"),
            key_file=_path(environment, "KEY_FILE"),
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where a channel leads, and what goes over it.

    Attributes:
        address: A gRPC target.
        tls: What secures the channel; None for plain text.
        metadata: What each call shows.
    """

    address: str
    tls: grpc.ChannelCredentials | None = field(default=None, repr=False)
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def socket_metadata(address: str) -> tuple[tuple[str, str], ...]:
    """Return what a call through a unix socket shows; nothing where no secret can be read.

    Read for each call: a daemon that starts again has another.
    """
    if not address.startswith(_UNIX):
        return ()
    path = Path(address.removeprefix(_UNIX).removeprefix("//"))
    try:
        secret = socket_secret_path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ()
    if not secret.isprintable():
        return ()
    return (("authorization", f"Socket {secret}"),)


def target_of(address: str, credentials: Credentials) -> Target:
    """Return how to reach an address.

    Args:
        address: The path of a unix socket, "unix:PATH", "HOST:PORT", or one of the latter after
            "https://" or "http://". Without these two, loopback is plain text, unless there are
            certificates, and all else is TLS.
        credentials: What to show.

    Raises:
        AddressUnusable: It asks for plain text beyond this machine, or a file cannot be read.
    """
    if address.startswith("/"):
        address = f"{_UNIX}{address}"
    if address.startswith(_UNIX):
        return Target(address)
    scheme = next((one for one in _SCHEMES if address.startswith(one)), "")
    address = address.removeprefix(scheme).rstrip("/")
    token = credentials.token
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    if scheme == "https://" or (not scheme and not _is_plain(address, credentials)):
        return Target(address, _tls(credentials), metadata)
    if not _is_loopback(address):
        raise AddressUnusable(
            f"{address} is another machine: without TLS everybody on the way could read what is "
            "sent; leave out http://"
        )
    return Target(address, None, metadata)


def read_token(path: Path) -> str:
    """Return the token in a file. Raises AddressUnusable."""
    return _read(path).decode(errors="replace").strip()


def _is_plain(address: str, credentials: Credentials) -> bool:
    has_certificates = credentials.ca_file is not None or credentials.cert_file is not None
    return _is_loopback(address) and not has_certificates


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _tls(credentials: Credentials) -> grpc.ChannelCredentials:
    if (credentials.cert_file is None) != (credentials.key_file is None):
        raise AddressUnusable("a certificate and its key go together; one of them is missing")
    ca, key, cert = (
        None if path is None else _read(path)
        for path in (credentials.ca_file, credentials.key_file, credentials.cert_file)
    )
    return grpc.ssl_channel_credentials(ca, key, cert)


def _read(path: Path) -> bytes:
    try:
        return normalise(path).read_bytes()
    except OSError as error:
        raise AddressUnusable(f"{path} cannot be read: {error.strerror}") from error


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    value = environment.get(f"BSADVISE_{name}")
    return Path(value) if value else None

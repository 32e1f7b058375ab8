"""The daemon's certificates, read again when their files change."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog

from advisor.service.certificates import parse_revoked

_LOG = structlog.stdlib.get_logger(__name__)


class TlsRefused(Exception):
    """The certificates cannot be used; the message says which file, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where certificates are; all in PEM.

    Attributes:
        cert: The daemon's certificate, and those between it and its authority.
        key: Its private key.
        client_ca: The authority whose certificates clients must show; None where they show
            tokens alone.
        revoked: The list of those that open nothing any more; None for none.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    revoked: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file."""
        wanted = (self.cert, self.key, self.client_ca, self.revoked)
        return tuple(path for path in wanted if path is not None)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Return what a secure port needs. Each new connection sees the files as they are then.

    Raises:
        TlsRefused: The files cannot be read, or do not belong together.
    """
    certificates = _Certificates(files)
    return grpc.dynamic_ssl_server_credentials(
        certificates.load(),
        certificates.reload_if_changed,  # type: ignore[arg-type] # None is for "no change"
        require_client_authentication=files.client_ca is not None,
    )


def check_files(files: TlsFiles) -> None:
    """Raise TlsRefused unless certificate and key are there and belong together."""
    for path in files.paths:
        try:
            path.read_bytes()
        except OSError as error:
            raise TlsRefused(f"{path} cannot be read: {error.strerror}") from error
    # gRPC takes anything and fails at each handshake; OpenSSL says at once what is wrong.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise TlsRefused(
            f"{files.cert} and {files.key} are no certificate with its key: {error}"
        ) from error
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            raise TlsRefused(f"{files.client_ca} holds no certificate: {error}") from error
    if files.revoked is not None:
        try:
            parse_revoked(files.revoked.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TlsRefused(f"{files.revoked}: {error}") from error


class _Certificates:
    """The files as they were last found to be good."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._seen: object = None

    def load(self) -> grpc.ServerCertificateConfiguration:
        self._seen = self._stamps()
        check_files(self._files)
        client_ca = self._files.client_ca
        return grpc.ssl_server_certificate_configuration(
            [(self._files.key.read_bytes(), self._files.cert.read_bytes())],
            client_ca.read_bytes() if client_ca else None,
        )

    def reload_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new certificates; None to go on with those that there are.

        gRPC asks at each handshake, in a thread of its own.
        """
        try:
            if self._stamps() == self._seen:
                return None
            configuration = self.load()
        except (TlsRefused, OSError) as error:
            # They may be half written; the next handshake after a change looks again.
            _LOG.error("new certificates are not used", error=str(error))
            return None
        _LOG.info("certificates loaded anew", cert=str(self._files.cert))
        return configuration

    def _stamps(self) -> object:
        # The inode too: a file that is moved into place may be as old as the one before.
        stats = [path.stat() for path in self._files.paths]
        return [(stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats]


def _no_password() -> str:
    raise ValueError("the key must not be encrypted: nobody is there to type its password")

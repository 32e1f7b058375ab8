"""Whom a client's certificate names, and which certificates open nothing any more."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from bsadvise.model.token import Scope

from advisor.domain.access import Caller, is_principal
from advisor.domain.errors import Unauthenticated

_PREFIX = "cert:"
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def caller_of(properties: Mapping[str, Iterable[bytes]], revoked: RevokedCertificates) -> Caller:
    """Return the caller that a certificate names, which its authority has been seen to have signed.

    It is the common name of its subject. Alternative names are not read: they are of several kinds
    (hosts, addresses, mailboxes), and a name of one kind would pass for the same one of another.

    Args:
        properties: gRPC's of the connection.
        revoked: What is refused.

    Raises:
        Unauthenticated: It has no such name, or was revoked.
    """
    (certificate,) = properties["x509_pem_cert"]
    if fingerprint_of(certificate.decode("ascii")) in revoked.read():
        raise Unauthenticated("this certificate was revoked; ask for another")
    names = [name.decode(errors="replace") for name in properties.get("x509_common_name", ())]
    if len(names) != 1 or not names[0] or not is_principal(principal := _PREFIX + names[0]):
        raise Unauthenticated("the certificate's subject has no common name that is a principal's")
    return Caller(principal=principal, scope=Scope.RUN)


def fingerprint_of(pem: str) -> str:
    """Return the SHA-256 of a certificate in DER, in lower-case hex."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


class RevokedCertificates:
    """The list of revoked certificates, read again when its file changes."""

    def __init__(self, path: Path | None) -> None:
        """Take note of the file.

        Args:
            path: A fingerprint a line, as ``openssl x509 -noout -fingerprint -sha256`` prints it;
                ``#`` begins a comment. None where none are revoked.
        """
        self._path = path
        self._stamp: object = None
        self._fingerprints: frozenset[str] = frozenset()

    def read(self) -> frozenset[str]:
        """Return the fingerprints. Raises Unauthenticated where the list cannot be read."""
        if self._path is None:
            return frozenset()
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp != self._stamp:
                self._fingerprints = parse_revoked(self._path.read_text(encoding="utf-8"))
                self._stamp = stamp
        except (OSError, ValueError) as error:
            raise Unauthenticated(
                "the daemon cannot read which certificates are revoked, and trusts none meanwhile"
            ) from error
        return self._fingerprints


def parse_revoked(text: str) -> frozenset[str]:
    """Return the fingerprints of a list. Raises ValueError, which names the line."""
    found = set()
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].rpartition("=")[2].strip().replace(":", "").lower()
        if entry and not _FINGERPRINT.fullmatch(entry):
            raise ValueError(f"line {number} is no SHA-256 fingerprint of a certificate")
        found.add(entry)
    return frozenset(found - {""})

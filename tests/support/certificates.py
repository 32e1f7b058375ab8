"""Certificates for tests, made by OpenSSL's command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HAS_OPENSSL = shutil.which("openssl") is not None

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM files."""

    cert: Path
    key: Path

    def read(self) -> tuple[bytes, bytes]:
        """Return key and certificate, in gRPC's order."""
        return self.key.read_bytes(), self.cert.read_bytes()


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self.pair = self._paths(name)
        _openssl("req", "-x509", *_NEW_KEY, *self._out(self.pair), "-subj", f"/CN={name}")

    @property
    def cert(self) -> Path:
        return self.pair.cert

    def sign(self, name: str, *, days: int = 2, file_name: str | None = None) -> Pair:
        """Return a certificate for a name, good for 127.0.0.1 and localhost, or long expired."""
        pair = self._paths(file_name or name)
        request = pair.cert.with_suffix(".csr")
        _openssl(
            "req", "-new", *_NEW_KEY, "-keyout", str(pair.key), "-out", str(request),
            "-subj", f"/CN={name}",
        )  # fmt: skip
        extensions = pair.cert.with_suffix(".ext")
        names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n" if name == "localhost" else ""
        extensions.write_text(f"basicConstraints=CA:FALSE\n{names}")
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.cert), "-CAkey",
            str(self.pair.key), "-CAcreateserial", "-out", str(pair.cert), "-days", str(days),
            "-extfile", str(extensions),
        )  # fmt: skip
        return pair

    def _paths(self, name: str) -> Pair:
        return Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")

    def _out(self, pair: Pair) -> tuple[str, ...]:
        return ("-keyout", str(pair.key), "-out", str(pair.cert))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)

"""Bundles of source files as clients upload them."""

from __future__ import annotations

import hashlib

from bsadvise.v1.source_service_pb2 import SourceBundle, SourceFile


def make_bundle(**files: str) -> bytes:
    """Return a bundle of ``name.py`` files; a name's double underscore is a slash."""
    return raw_bundle(
        *((name.replace("__", "/") + ".py", text.encode()) for name, text in files.items())
    )


def raw_bundle(*files: tuple[str, bytes]) -> bytes:
    """Return a bundle of any paths, good or bad."""
    return SourceBundle(
        files=[SourceFile(path=path, content=content) for path, content in files]
    ).SerializeToString(deterministic=True)


def digest_of(bundle: bytes) -> str:
    """Return the name under which a bundle is kept."""
    return hashlib.sha256(bundle).hexdigest()

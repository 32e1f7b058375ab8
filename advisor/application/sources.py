"""Takes in the code that recommendations are about."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterable

from advisor.application.bundles import Unpack, check_size, checked_files
from advisor.domain.errors import FieldViolation, InvalidRequest, SourceRejected
from advisor.ports.store import Store

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Sources:
    """Checks for bundles and takes them in, each under the SHA-256 of its bytes."""

    def __init__(self, store: Store, unpack: Unpack) -> None:
        self._store = store
        self._unpack = unpack

    async def exists(self, digest: str) -> bool:
        """Return whether a bundle is here. Raises InvalidRequest."""
        _check_digest(digest)
        return await self._store.has_source(digest)

    async def put(self, digest: str, chunks: AsyncIterable[bytes]) -> None:
        """Keep a bundle.

        Args:
            digest: Lower-case hex SHA-256 of the whole bundle.
            chunks: Its bytes in pieces. Not read further than the largest size allowed.

        Raises:
            InvalidRequest: ``digest`` is not one.
            SourceRejected: The bundle is too large, damaged, or names a path outside itself.
        """
        _check_digest(digest)
        bundle = bytearray()
        async for chunk in chunks:
            bundle += chunk
            check_size(len(bundle))
        content = bytes(bundle)
        await asyncio.to_thread(self._check, digest, content)
        await self._store.put_source(digest, content)

    def _check(self, digest: str, content: bytes) -> None:
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise SourceRejected(f"the bundle's digest is {found}, not {digest}")
        checked_files(self._unpack(content))


def _check_digest(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise InvalidRequest(FieldViolation("digest", "must be 64 lower-case hex digits"))

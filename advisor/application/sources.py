"""Takes in the code that recommendations are about."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator

from bsadvise.model.request import MAX_BUNDLE_BYTES, Source

from advisor.application.bundles import Unpack, check_size, checked_files
from advisor.application.sharing import Hold, InFlight, SharingPolicy
from advisor.domain.access import Caller
from advisor.domain.errors import (
    FieldViolation,
    InvalidRequest,
    NotFound,
    SourceRejected,
    UploadStalled,
)
from advisor.ports.store import Store

STALL_LIMIT_S = 30.0
"""After which an upload of which nothing comes is given up."""

MAX_IN_FLIGHT_BYTES = 4 * MAX_BUNDLE_BYTES
"""What one principal may have in this daemon's memory, all its uploads together."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Sources:
    """Checks for bundles and takes them in, each under the SHA-256 of its bytes."""

    def __init__(self, store: Store, unpack: Unpack, policy: SharingPolicy) -> None:
        self._store = store
        self._unpack = unpack
        self._policy = policy
        self._in_flight = InFlight(
            "upload_bytes_in_flight",
            MAX_IN_FLIGHT_BYTES,
            "too much of yours is being uploaded already; send one bundle after the other",
        )

    async def exists(self, caller: Caller, digest: str) -> bool:
        """Return whether the caller has sent a bundle that is here. Raises InvalidRequest."""
        _check_digest(digest)
        return await self._store.has_source(digest, principal=caller.principal)

    async def put(self, caller: Caller, digest: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep a bundle.

        Args:
            caller: Who sends it.
            digest: Lower-case hex SHA-256 of the whole bundle.
            chunks: Its bytes in pieces. Not read further than the largest size allowed.

        Raises:
            InvalidRequest: ``digest`` is not one.
            SourceRejected: The bundle is too large, damaged, or names a path outside itself.
            QuotaExceeded: The caller has sent their share.
            UploadStalled: Nothing more came of it.
        """
        _check_digest(digest)
        with self._in_flight.hold(caller.principal) as hold:
            content = await _collect(chunks, hold)
            await asyncio.to_thread(self._check, digest, content)
            await self._store.put_source(
                digest,
                content,
                principal=caller.principal,
                limits=self._policy.limits_of(caller),
            )

    def _check(self, digest: str, content: bytes) -> None:
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise SourceRejected(f"the bundle's digest is {found}, not {digest}")
        checked_files(self._unpack(content))


async def check_source(store: Store, caller: Caller, source: Source) -> None:
    """Raise NotFound unless the caller has sent a source that is here."""
    if not await store.has_source(source.digest, principal=caller.principal):
        raise NotFound(f"there is no source {source.digest}; upload it first")


async def _collect(chunks: AsyncIterator[bytes], hold: Hold) -> bytes:
    bundle = bytearray()
    try:
        while True:
            async with asyncio.timeout(STALL_LIMIT_S):
                chunk = await anext(chunks, None)
            if chunk is None:
                return bytes(bundle)
            hold.add(len(chunk))
            bundle += chunk
            check_size(len(bundle))
    except TimeoutError as error:
        raise UploadStalled(f"nothing came for {STALL_LIMIT_S:g} s; send it again") from error


def _check_digest(digest: str) -> None:
    if not _DIGEST.fullmatch(digest):
        raise InvalidRequest(FieldViolation("digest", "must be 64 lower-case hex digits"))

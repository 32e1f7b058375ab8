"""The Store port on a SQL database."""

# ruff: noqa: D102 - the port says what its methods are for

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import Event, Happening, Recommendation, State, StateChanged
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from advisor.domain.access import NO_LIMITS, Limits, Token
from advisor.ports.clock import Clock
from advisor.ports.store import Claim, DeviceQueue, InUse, Page, Removed, Retention, Store
from advisor.store import events, leases, recommendations, retention, sharing, sources, tokens
from advisor.store.database import Database


class SqlStore(Store):
    """Each method is one transaction, made of the statements beside this file.

    Args:
        database: Where the tables are; this store closes it.
        clock: Times events and leases.
        is_owner_dead: Whether the owner of a lease is known to be gone, so that its lease
            need not run out first.
        host: Whose devices recommendations that are created here are for, and of which work
            is claimed.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        is_owner_dead: Callable[[str], bool],
        *,
        host: str = "",
    ) -> None:
        self._database = database
        self._clock = clock
        self._is_owner_dead = is_owner_dead
        self._host = host

    async def create(
        self,
        recommendation: Recommendation,
        *,
        device_ids: Sequence[str] = (),
        limits: Limits = NO_LIMITS,
    ) -> Recommendation:
        wanted_ids = device_ids or (recommendation.device.device_id,)
        try:
            return await self._database.write(
                lambda c: recommendations.insert_new(
                    c, recommendation, wanted_ids, self._host, limits, self._clock.now_s()
                )
            )
        except IntegrityError:
            repeated = await self._database.read(
                lambda c: recommendations.find_repeated(c, recommendation)
            )
            if repeated is None:
                raise
            return repeated

    async def get(self, recommendation_id: str) -> Recommendation:
        return await self._database.read(lambda c: recommendations.get(c, recommendation_id))

    async def list_page(
        self, *, page_size: int, page_token: str = "", principal: str | None = None
    ) -> Page:
        return await self._database.read(
            lambda c: recommendations.list_page(c, page_size, page_token, principal)
        )

    async def delete(self, recommendation_id: str) -> None:
        await self._database.write(lambda c: recommendations.remove(c, recommendation_id))

    async def request_cancel(self, recommendation_id: str) -> Recommendation:
        return await self._database.write(
            lambda c: recommendations.request_cancel(c, recommendation_id, self._clock.now_s())
        )

    async def claim(self, owner: str, *, lease_s: float) -> Claim | None:
        # On PostgreSQL another daemon may lease one of the same devices in the same instant;
        # then there is nothing for this one now.
        with suppress(IntegrityError):
            return await self._database.write(
                lambda c: leases.claim(
                    c, owner, lease_s, self._clock.now_s(), self._is_owner_dead, self._host
                )
            )
        return None

    async def renew(self, recommendation_id: str, owner: str, *, lease_s: float) -> bool:
        return await self._database.write(
            lambda c: leases.renew(c, recommendation_id, owner, lease_s, self._clock.now_s())
        )

    async def append(self, recommendation_id: str, owner: str, happening: Happening) -> Event:
        return await self._database.write(
            lambda c: leases.append(c, recommendation_id, owner, happening, self._clock.now_s())
        )

    async def restart(self, recommendation_id: str, owner: str, fingerprint: str) -> None:
        await self._database.write(
            lambda c: leases.restart(c, recommendation_id, owner, fingerprint)
        )

    async def finish(self, recommendation_id: str, owner: str, change: StateChanged) -> Event:
        return await self._database.write(
            lambda c: leases.finish(c, recommendation_id, owner, change, self._clock.now_s())
        )

    async def events(
        self, recommendation_id: str, *, after_sequence: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        return await self._database.read(
            lambda c: events.read_events(c, recommendation_id, after_sequence, limit)
        )

    async def log(self, recommendation_id: str) -> Log:
        return await self._database.read(lambda c: events.read_log(c, recommendation_id))

    async def find_answer(self, fingerprint: str) -> Recommendation | None:
        return await self._database.read(lambda c: recommendations.find_answer(c, fingerprint))

    async def find_searched(
        self, source_digest: str, *, principal: str | None, limit: int
    ) -> tuple[Recommendation, ...]:
        return await self._database.read(
            lambda c: recommendations.find_searched(c, source_digest, principal, limit)
        )

    async def find_interrupted_log(self, fingerprint: str) -> Log:
        return await self._database.read(
            lambda c: recommendations.find_interrupted_log(c, fingerprint)
        )

    async def queue(self, device_id: str) -> DeviceQueue:
        return await self._database.read(
            lambda c: sharing.read_queue(c, self._host, device_id, self._clock.now_s())
        )

    async def used_device_s(self, principal: str) -> float:
        return await self._database.read(
            lambda c: sharing.used_device_s(c, principal, self._clock.now_s())
        )

    async def charge(self, principal: str, device_s: float) -> None:
        await self._database.write(
            lambda c: sharing.charge(c, principal, device_s, self._clock.now_s())
        )

    async def put_source(
        self, digest: str, bundle: bytes, *, principal: str, limits: Limits = NO_LIMITS
    ) -> None:
        def put(connection: Connection) -> None:
            now_s = self._clock.now_s()
            sources.put(connection, digest, bundle, now_s, principal=principal, limits=limits)

        try:
            await self._database.write(put)
        except IntegrityError:
            # Another daemon has put the same bundle in the same instant: now it is there.
            await self._database.write(put)

    async def get_source(self, digest: str) -> bytes:
        return await self._database.read(lambda c: sources.get(c, digest))

    async def has_source(self, digest: str, *, principal: str) -> bool:
        return await self._database.read(lambda c: sources.has(c, digest, principal))

    async def add_token(self, token: Token) -> None:
        await self._database.write(lambda c: tokens.add(c, token))

    async def find_token(self, token_id: str) -> Token | None:
        return await self._database.read(lambda c: tokens.find(c, token_id))

    async def list_tokens(self) -> tuple[Token, ...]:
        return await self._database.read(tokens.list_all)

    async def revoke_token(self, token_id: str) -> Token:
        return await self._database.write(lambda c: tokens.revoke(c, token_id, self._clock.now_s()))

    async def count_unfinished(self) -> Mapping[State, int]:
        return await self._database.read(retention.count_unfinished)

    async def find_in_use(self) -> InUse:
        return await self._database.read(retention.find_in_use)

    async def newest_s(self) -> float | None:
        return await self._database.read(retention.newest_s)

    async def prune(self, keep: Retention) -> Removed:
        count, last_count = 0, retention.BATCH_SIZE
        while last_count == retention.BATCH_SIZE:
            last_count = await self._database.write(lambda c: retention.remove_finished(c, keep))
            count += last_count
        source_count, source_bytes = await self._database.write(
            lambda c: retention.remove_sources(c, keep)
        )
        usage_count = await self._database.write(
            lambda c: sharing.forget_use(c, self._clock.now_s())
        )
        return Removed(
            recommendation_count=count,
            source_count=source_count,
            source_bytes=source_bytes,
            usage_count=usage_count,
        )

    async def compact(self) -> None:
        await self._database.compact()

    async def check(self) -> None:
        await self._database.check()

    async def close(self) -> None:
        await self._database.close()

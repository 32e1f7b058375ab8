"""A store in memory, for tests of what stands on one."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bsadvise.model.advice import RefusalCode
from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import (
    Event,
    Happening,
    Measured,
    Recommendation,
    State,
    StateChanged,
)
from bsadvise.model.request import Priority
from bsadvise.version import __version__
from bsadvise.wire.plain import to_plain

from advisor.domain.access import NO_LIMITS, Limits, Token
from advisor.domain.errors import (
    IllegalTransition,
    LeaseLost,
    NotFound,
    QuotaExceeded,
    RequestIdReused,
)
from advisor.domain.fair_shares import KeptSource, fair_shares, sources_beyond
from advisor.domain.transitions import check_transition
from advisor.ports.clock import Clock
from advisor.ports.store import (
    ABANDONED_S,
    Claim,
    DeviceQueue,
    InUse,
    Page,
    QueueEntry,
    Removed,
    Retention,
    Share,
    Store,
)
from advisor.store.page_tokens import make_page_token, read_page_token


@dataclasses.dataclass
class _Entry:
    number: int
    recommendation: Recommendation
    device_ids: tuple[str, ...]
    log_after_sequence: int = 0
    events: list[Event] = dataclasses.field(default_factory=list)
    owner: str | None = None
    expires_at_s: float = 0.0
    charged_at_s: float = 0.0

    @property
    def principal(self) -> str:
        return self.recommendation.principal

    @property
    def log(self) -> Log:
        return tuple(
            e.happening.measurement
            for e in self.events
            if isinstance(e.happening, Measured) and e.sequence > self.log_after_sequence
        )


@dataclasses.dataclass(frozen=True)
class _Upload:
    size_bytes: int
    at_s: float


_DAY_S = 86_400.0


class MemoryStore(Store):
    """Keeps everything in dictionaries, in the order in which it came."""

    def __init__(
        self, clock: Clock, is_owner_dead: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._clock = clock
        self._is_owner_dead = is_owner_dead
        self._entries: dict[str, _Entry] = {}
        self._sources: dict[str, bytes] = {}
        self._put_at_s: dict[str, float] = {}
        self._numbers = itertools.count(1)
        self._uploads: dict[tuple[str, str], _Upload] = {}
        self._usage: dict[tuple[str, int], float] = defaultdict(float)
        self._tokens: dict[str, Token] = {}

    async def create(
        self,
        recommendation: Recommendation,
        *,
        device_ids: Sequence[str] = (),
        limits: Limits = NO_LIMITS,
    ) -> Recommendation:
        for entry in self._entries.values():
            known = entry.recommendation
            if (known.principal, known.request_id) == (
                recommendation.principal,
                recommendation.request_id,
            ):
                if known.request != recommendation.request:
                    raise RequestIdReused(known.request_id, known.recommendation_id)
                return known
        self._check_kept(recommendation, limits)
        if recommendation.state is State.QUEUED:
            self._check_queue(recommendation, limits)
        wanted_ids = tuple(device_ids) or (recommendation.device.device_id,)
        entry = _Entry(next(self._numbers), recommendation, wanted_ids)
        change = StateChanged(
            state=recommendation.state,
            advice=recommendation.advice,
            refusal=recommendation.refusal,
        )
        entry.events.append(Event(sequence=1, at_s=recommendation.updated_at_s, happening=change))
        self._entries[recommendation.recommendation_id] = entry
        return recommendation

    def _check_kept(self, new: Recommendation, limits: Limits) -> None:
        if limits.kept_bytes is None:
            return
        own = [e for e in self._entries.values() if e.principal == new.principal]
        kept: list[object] = [new.request, *(entry.recommendation.request for entry in own)]
        kept += [event.happening for entry in own for event in entry.events]
        if sum(len(json.dumps(to_plain(value))) for value in kept) > limits.kept_bytes:
            raise QuotaExceeded(new.principal, "kept_bytes", limits.kept_bytes, "too much")

    async def get(self, recommendation_id: str) -> Recommendation:
        return self._entry(recommendation_id).recommendation

    async def list_page(
        self, *, page_size: int, page_token: str = "", principal: str | None = None
    ) -> Page:
        before = read_page_token(page_token) if page_token else float("inf")
        rest = [
            entry
            for entry in self._newest_first()
            if entry.number < before and principal in (None, entry.principal)
        ]
        page = rest[:page_size]
        return Page(
            recommendations=tuple(entry.recommendation for entry in page),
            next_page_token=make_page_token(page[-1].number) if len(rest) > page_size else "",
        )

    async def delete(self, recommendation_id: str) -> None:
        if self._entry(recommendation_id).recommendation.state is State.RUNNING:
            raise IllegalTransition("a recommendation that is running cannot be deleted")
        del self._entries[recommendation_id]

    async def request_cancel(self, recommendation_id: str) -> Recommendation:
        entry = self._entry(recommendation_id)
        if not entry.recommendation.state.is_final:
            self._update(entry, cancel_requested=True)
        state, now_s = entry.recommendation.state, self._clock.now_s()
        is_abandoned = state is State.RUNNING and entry.expires_at_s < now_s - ABANDONED_S
        if state is State.QUEUED or is_abandoned:
            self._change(entry, StateChanged(state=State.CANCELLED))
            entry.owner = None
        return entry.recommendation

    async def claim(self, owner: str, *, lease_s: float) -> Claim | None:
        running = self._in_state(State.RUNNING)
        orphans = [entry for entry in running if not self._is_live(entry)]
        waiting = self._first_served()
        if not orphans and not waiting:
            return None
        entry = (orphans or waiting)[0]
        if not orphans:
            self._change(entry, StateChanged(state=State.RUNNING))
        entry.owner = owner
        entry.charged_at_s = self._clock.now_s()
        entry.expires_at_s = self._clock.now_s() + lease_s
        return Claim(
            recommendation=entry.recommendation,
            is_takeover=bool(orphans),
            device_ids=entry.device_ids,
        )

    async def renew(self, recommendation_id: str, owner: str, *, lease_s: float) -> bool:
        entry = self._leased(recommendation_id, owner)
        self._charge(entry)
        entry.expires_at_s = self._clock.now_s() + lease_s
        return entry.recommendation.cancel_requested

    async def append(self, recommendation_id: str, owner: str, happening: Happening) -> Event:
        return self._add_event(self._leased(recommendation_id, owner), happening)

    async def restart(self, recommendation_id: str, owner: str, fingerprint: str) -> None:
        entry = self._leased(recommendation_id, owner)
        entry.log_after_sequence = len(entry.events)
        self._update(entry, fingerprint=fingerprint)

    async def finish(self, recommendation_id: str, owner: str, change: StateChanged) -> Event:
        entry = self._leased(recommendation_id, owner)
        check_transition(State.RUNNING, change.state)
        self._charge(entry)
        entry.owner = None
        return self._change(entry, change)

    async def events(
        self, recommendation_id: str, *, after_sequence: int = 0, limit: int = 1000
    ) -> tuple[Event, ...]:
        events = self._entry(recommendation_id).events
        return tuple(event for event in events if event.sequence > after_sequence)[:limit]

    async def log(self, recommendation_id: str) -> Log:
        return self._entry(recommendation_id).log

    async def find_answer(self, fingerprint: str) -> Recommendation | None:
        return next(
            (
                entry.recommendation
                for entry in self._newest_first()
                if entry.recommendation.fingerprint == fingerprint
                and entry.recommendation.state is State.SUCCEEDED
            ),
            None,
        )

    async def find_searched(
        self, source_digest: str, *, principal: str | None, limit: int
    ) -> tuple[Recommendation, ...]:
        found = [
            entry.recommendation
            for entry in self._newest_first()
            if entry.recommendation.request.source.digest == source_digest
            and entry.recommendation.state is State.SUCCEEDED
            and entry.log
            and principal in (None, entry.principal)
        ]
        return tuple(found[:limit])

    async def find_interrupted_log(self, fingerprint: str) -> Log:
        for entry in self._newest_first():
            recommendation = entry.recommendation
            if recommendation.fingerprint != fingerprint:
                continue
            if recommendation.state is State.SUCCEEDED:
                break
            refusal = recommendation.refusal
            if refusal is not None and refusal.code is RefusalCode.INTERRUPTED:
                return entry.log
        return ()

    async def queue(self, device_id: str) -> DeviceQueue:
        running = [
            e.recommendation for e in self._in_state(State.RUNNING) if device_id in e.device_ids
        ]
        waiting = [
            e.recommendation for e in self._in_state(State.QUEUED) if device_id in e.device_ids
        ]
        return DeviceQueue(
            busy_for=running[0].principal if running else None,
            busy_until_s=(
                running[0].updated_at_s + running[0].request.budget_s if running else None
            ),
            entries=tuple(
                QueueEntry(
                    recommendation_id=r.recommendation_id,
                    principal=r.principal,
                    priority=r.request.priority,
                    budget_s=r.request.budget_s,
                )
                for r in waiting
            ),
            shares={r.principal: self._share(r.principal) for r in waiting},
        )

    async def used_device_s(self, principal: str) -> float:
        return self._share(principal).device_s

    async def charge(self, principal: str, device_s: float) -> None:
        self._usage[principal, int(self._clock.now_s() // 3600)] += max(0.0, device_s)

    async def put_source(
        self, digest: str, bundle: bytes, *, principal: str, limits: Limits = NO_LIMITS
    ) -> None:
        if (principal, digest) in self._uploads:
            return
        limit_bytes = limits.upload_bytes_per_day
        now_s = self._clock.now_s()
        sent = [u for (whose, _), u in self._uploads.items() if whose == principal]
        sent_bytes = sum(u.size_bytes for u in sent if u.at_s > now_s - _DAY_S)
        if limit_bytes is not None and sent_bytes + len(bundle) > limit_bytes:
            raise QuotaExceeded(principal, "upload_bytes_per_day", limit_bytes, "too much")
        self._sources.setdefault(digest, bundle)
        self._uploads[principal, digest] = _Upload(len(bundle), now_s)
        self._put_at_s.setdefault(digest, self._clock.now_s())

    async def get_source(self, digest: str) -> bytes:
        if digest not in self._sources:
            raise NotFound(f"there is no source {digest}")
        return self._sources[digest]

    async def has_source(self, digest: str, *, principal: str) -> bool:
        return (principal, digest) in self._uploads

    async def add_token(self, token: Token) -> None:
        self._tokens[token.token_id] = token

    async def find_token(self, token_id: str) -> Token | None:
        return self._tokens.get(token_id)

    async def list_tokens(self) -> tuple[Token, ...]:
        return tuple(sorted(self._tokens.values(), key=lambda t: (-t.created_at_s, t.token_id)))

    async def revoke_token(self, token_id: str) -> Token:
        if token_id not in self._tokens:
            raise NotFound(f"there is no token {token_id}")
        token = self._tokens[token_id]
        if token.revoked_at_s is None:
            token = dataclasses.replace(token, revoked_at_s=self._clock.now_s())
            self._tokens[token_id] = token
        return token

    async def count_unfinished(self) -> Mapping[State, int]:
        return {state: len(self._in_state(state)) for state in (State.QUEUED, State.RUNNING)}

    async def find_in_use(self) -> InUse:
        unfinished = [e.recommendation for e in self._unfinished()]
        interrupted = []
        answered: set[str] = set()
        for entry in self._newest_first():
            recommendation = entry.recommendation
            if recommendation.state is State.SUCCEEDED:
                answered.add(recommendation.fingerprint)
            refusal = recommendation.refusal
            is_interrupted = refusal is not None and refusal.code is RefusalCode.INTERRUPTED
            if is_interrupted and recommendation.fingerprint not in answered:
                interrupted.append(recommendation)
        return InUse(
            names=frozenset(
                name
                for recommendation in (*unfinished, *interrupted)
                for name in (recommendation.recommendation_id, recommendation.fingerprint)
            ),
            digests=frozenset(each.request.source.digest for each in unfinished),
        )

    async def newest_s(self) -> float | None:
        changed = [entry.recommendation.updated_at_s for entry in self._entries.values()]
        return max([*changed, *(each.at_s for each in self._uploads.values())], default=None)

    async def prune(self, keep: Retention) -> Removed:
        old = self._unwanted(keep)
        for recommendation_id in old:
            del self._entries[recommendation_id]
        unwanted = self._unwanted_sources(keep)
        sizes = [len(self._sources.pop(digest)) for digest in unwanted]
        for digest in unwanted:
            del self._put_at_s[digest]
        self._uploads = {key: u for key, u in self._uploads.items() if key[1] not in unwanted}
        last_hour = int((self._clock.now_s() - _DAY_S) // 3600)
        used = [key for key in self._usage if key[1] <= last_hour]
        for key in used:
            del self._usage[key]
        return Removed(
            recommendation_count=len(old),
            source_count=len(sizes),
            source_bytes=sum(sizes),
            usage_count=len(used),
        )

    async def compact(self) -> None:
        pass

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def _unwanted(self, keep: Retention) -> list[str]:
        finished = [e for e in self._entries.values() if e.recommendation.state.is_final]
        is_old = [e.recommendation.updated_at_s < keep.finished_before_s for e in finished]
        unwanted = list(itertools.compress(finished, is_old))
        rest = [e for e, old in zip(finished, is_old, strict=True) if not old]
        held = Counter(entry.principal for entry in rest)
        excess = {p: held[p] - share for p, share in fair_shares(held, keep.keep_count).items()}
        for entry in rest:
            if excess[entry.principal] > 0:
                excess[entry.principal] -= 1
                unwanted.append(entry)
        return [entry.recommendation.recommendation_id for entry in unwanted]

    def _unwanted_sources(self, keep: Retention) -> list[str]:
        in_use = {e.recommendation.request.source.digest for e in self._unfinished()}
        unwanted: list[str] = []
        kept: list[KeptSource] = []
        for used_at_s, digest in sorted((self._used_at_s(d), d) for d in self._sources):
            is_removable = digest not in in_use and used_at_s < keep.sources_unused_since_s
            if is_removable and used_at_s < keep.finished_before_s:
                unwanted.append(digest)
                continue
            kept.append(
                KeptSource(
                    digest=digest,
                    size_bytes=len(self._sources[digest]),
                    principals=frozenset(p for p, sent in self._uploads if sent == digest),
                    is_removable=is_removable,
                )
            )
        return unwanted + sources_beyond(kept, keep.keep_source_bytes)

    def _used_at_s(self, digest: str) -> float:
        uses = [
            entry.recommendation.created_at_s
            for entry in self._entries.values()
            if entry.recommendation.request.source.digest == digest
        ]
        uploads = [each.at_s for (_, sent), each in self._uploads.items() if sent == digest]
        return max([self._put_at_s[digest], *uses, *uploads])

    def _unfinished(self) -> list[_Entry]:
        return [e for e in self._entries.values() if not e.recommendation.state.is_final]

    def _entry(self, recommendation_id: str) -> _Entry:
        if recommendation_id not in self._entries:
            raise NotFound(f"there is no recommendation {recommendation_id}")
        return self._entries[recommendation_id]

    def _check_queue(self, recommendation: Recommendation, limits: Limits) -> None:
        principal = recommendation.principal
        queued = sum(e.principal == principal for e in self._in_state(State.QUEUED))
        if limits.max_queued is not None and queued >= limits.max_queued:
            raise QuotaExceeded(principal, "max_queued", limits.max_queued, "too many")
        limit_s = limits.device_s_per_day
        if limit_s is not None and self._spoken_for_s(recommendation) > limit_s:
            raise QuotaExceeded(principal, "device_s_per_day", limit_s, "too much")

    def _spoken_for_s(self, new: Recommendation) -> float:
        """Return what the principal of a new one has used, and what all of theirs may yet take."""
        total_s = self._share(new.principal).device_s + new.request.budget_s
        for entry in self._unfinished():
            recommendation = entry.recommendation
            if entry.principal == new.principal:
                is_running = recommendation.state is State.RUNNING
                begun_s = recommendation.updated_at_s if is_running else self._clock.now_s()
                elapsed_s = self._clock.now_s() - begun_s
                total_s += max(0.0, recommendation.request.budget_s - elapsed_s)
        return total_s

    def _first_served(self) -> list[_Entry]:
        taken = {one for entry in self._in_state(State.RUNNING) for one in entry.device_ids}
        found = []
        for entry in sorted(self._in_state(State.QUEUED), key=self._turn):
            if taken.isdisjoint(entry.device_ids):
                found.append(entry)
            taken.update(entry.device_ids)
        return found

    def _turn(self, entry: _Entry) -> tuple[Any, ...]:
        priority, share = entry.recommendation.request.priority, self._share(entry.principal)
        rank = [Priority.HIGH, Priority.NORMAL, Priority.LOW].index(priority)
        return priority is Priority.LOW, share.device_count, share.device_s, rank, entry.number

    def _share(self, principal: str) -> Share:
        first_hour = int((self._clock.now_s() - _DAY_S) // 3600)
        used = [
            device_s
            for (whose, hour), device_s in self._usage.items()
            if whose == principal and hour > first_hour
        ]
        running = sum(
            len(e.device_ids) for e in self._in_state(State.RUNNING) if e.principal == principal
        )
        return Share(device_count=running, device_s=sum(used))

    def _charge(self, entry: _Entry) -> None:
        now_s = self._clock.now_s()
        device_s = len(entry.device_ids) * (min(now_s, entry.expires_at_s) - entry.charged_at_s)
        self._usage[entry.principal, int(now_s // 3600)] += max(0.0, device_s)
        entry.charged_at_s = now_s

    def _newest_first(self) -> Iterator[_Entry]:
        return reversed(self._entries.values())

    def _in_state(self, state: State) -> list[_Entry]:
        return [e for e in self._entries.values() if e.recommendation.state is state]

    def _is_live(self, entry: _Entry) -> bool:
        return (
            entry.owner is not None
            and entry.expires_at_s > self._clock.now_s()
            and not self._is_owner_dead(entry.owner)
        )

    def _leased(self, recommendation_id: str, owner: str) -> _Entry:
        entry = self._entries.get(recommendation_id)
        if entry is None or entry.owner != owner:
            raise LeaseLost(f"{owner} does not hold {recommendation_id}")
        return entry

    def _change(self, entry: _Entry, change: StateChanged) -> Event:
        self._update(
            entry,
            state=change.state,
            updated_at_s=self._clock.now_s(),
            advice=change.advice,
            refusal=change.refusal,
            planner_version=__version__,
        )
        return self._add_event(entry, change)

    def _update(self, entry: _Entry, **changes: Any) -> None:
        entry.recommendation = dataclasses.replace(entry.recommendation, **changes)

    def _add_event(self, entry: _Entry, happening: Happening) -> Event:
        event = Event(sequence=len(entry.events) + 1, at_s=self._clock.now_s(), happening=happening)
        entry.events.append(event)
        return event

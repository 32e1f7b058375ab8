"""Divides what is kept between principals, so that none pushes out what another keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def fair_shares(held: Mapping[str, int], most: int) -> dict[str, int]:
    """Return how much of what it holds each principal keeps (max-min fairness).

    The shares add up to at most ``most``. Who holds less than an even share keeps all of it, and
    the others divide what is left evenly.

    Args:
        held: How much each holds, at least 0.
        most: How much all may hold together, at least 0.
    """
    shares: dict[str, int] = {}
    left = most
    for count, principal in enumerate(sorted(held, key=lambda p: (held[p], p))):
        shares[principal] = min(held[principal], left // (len(held) - count))
        left -= shares[principal]
    return shares


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSource:
    """A source that is kept.

    Attributes:
        digest: Which.
        size_bytes: Its size, which those who have sent it share evenly.
        principals: Who has sent it, at least one.
        is_removable: Whether nobody needs it now.
    """

    digest: str
    size_bytes: int
    principals: frozenset[str]
    is_removable: bool


def sources_beyond(kept: Sequence[KeptSource], most_bytes: int) -> list[str]:
    """Return the digests of the sources to remove, so that each principal has its share.

    A source that several have sent goes when all of them have more than their share.

    Args:
        kept: All sources, the longest unused first.
        most_bytes: What all may hold together.
    """
    held: Counter[str] = Counter()
    for source in kept:
        for principal in source.principals:
            held[principal] += source.size_bytes // len(source.principals)
    shares = fair_shares(held, most_bytes)
    removed = []
    for source in kept:
        if source.is_removable and all(held[one] > shares[one] for one in source.principals):
            removed.append(source.digest)
            for principal in source.principals:
                held[principal] -= source.size_bytes // len(source.principals)
    return removed

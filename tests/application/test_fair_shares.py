"""What one principal keeps takes nothing from what another is owed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from advisor.domain.fair_shares import KeptSource, fair_shares, sources_beyond

NAMES = st.sampled_from(["alice", "bob", "carol", "mallory"])
HELD = st.dictionaries(NAMES, st.integers(0, 1000))
SOURCES = st.lists(
    st.tuples(st.integers(0, 100), st.frozensets(NAMES, min_size=1), st.booleans()), max_size=20
).map(
    lambda found: [
        KeptSource(digest=str(n), size_bytes=size, principals=whose, is_removable=removable)
        for n, (size, whose, removable) in enumerate(found)
    ]
)


@given(HELD, st.integers(0, 3000))
def test_shares_are_fair(held: dict[str, int], most: int) -> None:
    shares = fair_shares(held, most)
    assert shares.keys() == held.keys()
    assert all(0 <= shares[one] <= held[one] for one in held)
    assert sum(shares.values()) == min(most, sum(held.values()))
    for one, amount in held.items():
        if shares[one] < amount:  # who gives way has no less than anybody else
            assert all(shares[one] + 1 >= share for share in shares.values())


@given(HELD, st.integers(0, 3000), st.integers(0, 10**6))
def test_who_keeps_more_changes_nothing_for_who_keeps_an_even_share(
    held: dict[str, int], most: int, flood: int
) -> None:
    flooded = held | {"mallory": flood}
    even = most // len(flooded)
    shares = fair_shares(flooded, most)
    assert all(shares[one] >= min(held[one], even) for one in held if one != "mallory")


@given(SOURCES, st.integers(0, 2000))
def test_sources_go_only_from_those_who_have_more_than_their_share(
    kept: list[KeptSource], most_bytes: int
) -> None:
    removed = sources_beyond(kept, most_bytes)
    rest = [source for source in kept if source.digest not in removed]
    total = sum(source.size_bytes for source in kept)
    if total <= most_bytes:
        assert not removed
    assert all(source.is_removable for source in kept if source.digest in removed)
    if all(len(source.principals) == 1 and source.is_removable for source in kept):
        assert sum(source.size_bytes for source in rest) <= most_bytes


def test_a_source_that_another_needs_for_its_share_stays() -> None:
    shared = KeptSource(
        digest="a", size_bytes=10, principals=frozenset({"alice", "mallory"}), is_removable=True
    )
    own = [
        KeptSource(
            digest=str(n), size_bytes=10, principals=frozenset({"mallory"}), is_removable=True
        )
        for n in range(4)
    ]
    assert sources_beyond([shared, *own], 20) == ["0", "1", "2"]

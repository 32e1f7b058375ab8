"""Finds where a script says its setting: a place is confirmed by a run in which it is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bsadvise.model.observation import Place, Quantity, Reference

from advisor.domain.limits import MOST_PLACES
from advisor.worker.scripts.places import Candidate, find_candidates, is_number
from advisor.worker.scripts.surroundings import Script

_MOST_TRIED = 4
"""Places that are tried for one value: a script takes seconds to come to its first step."""

_RATE_FACTOR = 1.25
"""What a rate is multiplied by to see whether a place is where it is said."""

_QUANTITIES = (Quantity.MICRO_BATCH_SIZE, Quantity.LEARNING_RATE)
"""What is looked for; the batch of a step, in addition, where the first is not found."""

_MOST_LISTED = MOST_PLACES // (len(_QUANTITIES) + 1)
"""Places that are listed for one value."""

Run = Callable[[Script], Reference | None]
"""Runs a script to its first step and returns what it trains with; None where that was not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A value of the setting, and how to see that a place decides it.

    Attributes:
        quantity: What it is of.
        candidates: Where it may be said, likely places first.
        text: Another value, as it is written.
        wanted: What the first step is then taken with.
    """

    quantity: Quantity
    candidates: Sequence[Candidate]
    text: str
    wanted: float

    def is_met(self, seen: Reference | None) -> bool:
        """Return whether a run trained with the other value."""
        return seen is not None and is_number(_in_use(seen, self.quantity), self.wanted)


def find_places(script: Script, reference: Reference, run: Run) -> tuple[Place, ...]:
    """Return where a script says its batch size and its rate, what was confirmed first.

    Args:
        script: The script.
        reference: What it trains with; of places, the flags of its parsers with these values.
        run: How to run it again, changed.
    """
    values = list(filter(None, (_value(script, reference, quantity) for quantity in _QUANTITIES)))
    confirmed: dict[Quantity, Candidate] = {}
    if len(values) > 1:
        # The likely places in one run; what that leaves open, each by itself: a rate may follow
        # the batch size.
        changed = script
        for value in values:
            changed = value.candidates[0].changed(changed, value.text)
        seen = run(changed)
        confirmed = {v.quantity: v.candidates[0] for v in values if v.is_met(seen)}
    for value in values:
        if value.quantity not in confirmed:
            _try_each(value, script, run, confirmed)
    if reference.accumulation_steps > 1 and Quantity.MICRO_BATCH_SIZE not in confirmed:
        whole = _value(script, reference, Quantity.BATCH_SIZE)
        if whole is not None:
            _try_each(whole, script, run, confirmed)
            values.append(whole)
    if Quantity.BATCH_SIZE in confirmed:
        values = [value for value in values if value.quantity is not Quantity.MICRO_BATCH_SIZE]
    return tuple(place for value in values for place in _listed(value, confirmed))


def _try_each(
    value: _Value, script: Script, run: Run, confirmed: dict[Quantity, Candidate]
) -> None:
    """Try places of a value one by one, and note the first that decides it."""
    for candidate in value.candidates[:_MOST_TRIED]:
        if value.is_met(run(candidate.changed(script, value.text))):
            confirmed[value.quantity] = candidate
            return


def _value(script: Script, reference: Reference, quantity: Quantity) -> _Value | None:
    value = _said(reference, quantity)
    if value is None:
        return None
    flags = (place.name for place in reference.where if place.quantity is quantity)
    candidates = find_candidates(script.source_dir, script.arguments, flags, quantity, value)
    if not candidates:
        return None
    if quantity is Quantity.LEARNING_RATE:
        # Of few digits, as a person would write it.
        other = float(f"{_RATE_FACTOR * value:.4g}")
    else:
        # One sample more in each batch of the loader.
        other = value + (reference.accumulation_steps if quantity is Quantity.BATCH_SIZE else 1)
    return _Value(
        quantity=quantity,
        candidates=candidates,
        text=_written(other),
        wanted=(_in_use(reference, quantity) or 0) * other / value,
    )


def _said(reference: Reference, quantity: Quantity) -> float | None:
    match quantity:
        case Quantity.LEARNING_RATE:
            return reference.learning_rate
        case Quantity.BATCH_SIZE:
            return reference.batch_size
    return reference.micro_batch_size


def _in_use(reference: Reference, quantity: Quantity) -> float | None:
    """Return what the first step was taken with: a rate may be said and then be overwritten.

    Of a rate that begins at 0, what it is to come to.
    """
    if quantity is Quantity.LEARNING_RATE:
        return reference.first_learning_rate or reference.learning_rate
    return reference.micro_batch_size


def _written(value: float) -> str:
    """Return a number as Python, JSON and YAML read it alike: YAML wants a point before an e."""
    return re.sub(r"^(\d+)e", r"\1.0e", repr(value))


def _listed(value: _Value, confirmed: dict[Quantity, Candidate]) -> list[Place]:
    """Return the confirmed place, and others that are named for the value."""
    found = confirmed.get(value.quantity)
    others = [c.place for c in value.candidates if c.is_named and c is not found]
    first = [] if found is None else [replace(found.place, is_confirmed=True)]
    return [*first, *others][:_MOST_LISTED]

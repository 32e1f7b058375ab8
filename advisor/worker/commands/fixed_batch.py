"""Finds out whether a model takes some batch sizes only, where it does not take two samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from bsadvise.model.measurements import Fault, FaultCode

from advisor.worker.loop.recipe import Recipe
from advisor.worker.loop.session import Session
from advisor.worker.user.hooks import UserCodeFailed

_DEFAULT_BATCH_SIZE = 32
_MOST_TRIED = 4
_LARGEST_TRIED = 4096
_NUMBER = re.compile(r"\b[1-9]\d{0,3}\b")


def explained(session: Session, error: UserCodeFailed) -> UserCodeFailed:
    """Return the error of a step of two samples, or what it means.

    Where a step of another size works, and one of a sample more does not, that size is written
    into the model, or, where twice as many work too, a divisor of it.
    """
    if error.fault.code is not FaultCode.USER_EXCEPTION:
        return error
    for batch_size in _candidates(session, error.fault):
        if _works(session, batch_size):
            if _works(session, batch_size + 1):
                return error
            if _works(session, 2 * batch_size):
                return UserCodeFailed(_divisor_of(error.fault, batch_size))
            return UserCodeFailed(_fault_of(error.fault, batch_size))
    return error


def _candidates(session: Session, fault: Fault) -> Iterator[int]:
    """Yield sizes that may be written into the model: the user's own, and those of the message."""
    named = session.task.settings.reference_batch_size
    numbers = [int(text) for text in _NUMBER.findall(fault.message)]
    sizes = dict.fromkeys([named or _DEFAULT_BATCH_SIZE, *numbers])
    found = [size for size in sizes if 2 < size <= _LARGEST_TRIED]
    yield from found[:_MOST_TRIED]


def _works(session: Session, batch_size: int) -> bool:
    training = session.build(Recipe(micro_batch_size=batch_size, seed=session.task.seed))
    try:
        with closing(training):
            training.step()
    except Exception:  # noqa: BLE001 - whatever it is, the step does not work
        return False
    return True


def _divisor_of(fault: Fault, batch_size: int) -> Fault:
    message = fault.message.rstrip(".")
    return replace(
        fault,
        code=FaultCode.MODEL_FILE,
        message=f"The model takes some batch sizes only: {batch_size} and {2 * batch_size} samples "
        f"work, and 2 or {batch_size + 1} do not ({message}).",
        fix="Let it take any: batches of several sizes are compared, and a search tries small ones "
        "first.",
    )


def _fault_of(fault: Fault, batch_size: int) -> Fault:
    message = fault.message.rstrip(".")
    return replace(
        fault,
        code=FaultCode.MODEL_FILE,
        message=f"The model takes one batch size only: {batch_size} samples work, and 2 or "
        f"{batch_size + 1} do not ({message}).",
        fix="Make what has the batch's size, such as a state or a shape, from the batch: "
        f"`x.shape[0]` in place of {batch_size}.",
    )

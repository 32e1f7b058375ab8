"""What must be true of a request beyond what each field says for itself."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from bsadvise.model.device import Device
from bsadvise.model.observation import Quantity
from bsadvise.model.placeholders import placeholders
from bsadvise.model.request import AdviceRequest, EntryKind, Objective

from advisor.application.bundles import is_plain_path
from advisor.domain.errors import FieldViolation, InvalidRequest, NotFound
from advisor.ports.device_inventory import DeviceInventory

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def check_request_id(request_id: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with a client-made id."""
    if not _REQUEST_ID.fullmatch(request_id):
        yield FieldViolation(
            "request_id", "must be 1 to 128 letters, digits, '.', '_' and '-', with no others"
        )


def check_request(request: AdviceRequest) -> Iterator[FieldViolation]:
    """Yield what is wrong with a request, whatever the device."""
    batch_size, world_size = request.effective_batch_size, request.world_size
    if batch_size is not None and batch_size % world_size:
        yield FieldViolation(
            "request.effective_batch_size", f"must be a multiple of world_size, {world_size}"
        )
    limit_bytes, margin_bytes = request.memory_limit_bytes, request.margin_bytes
    if limit_bytes is not None and margin_bytes is not None and margin_bytes >= limit_bytes:
        yield FieldViolation("request.margin_bytes", "must be less than memory_limit_bytes")
    if request.objective is Objective.COST and request.device_hour_price is None:
        yield FieldViolation(
            "request.device_hour_price", "the objective cost needs it: what a device-hour costs"
        )
    if request.budget_share is not None and request.train_for is None:
        yield FieldViolation(
            "request.budget_share", "is a share of the training's own time: train_for must say it"
        )
    if not is_plain_path(request.source.entry_path):
        yield FieldViolation("request.source.entry_path", "must be a plain relative path")
    if request.source.entry_kind is EntryKind.MODEL_FILE:
        yield from _check_no_script(request)
    yield from _check_script(request)
    if request.source.entry_kind is EntryKind.COMMAND:
        yield from _check_command(request)
    for name in request.build_kwargs:
        if not name.isidentifier():
            yield FieldViolation("request.build_kwargs", f"{name!r} is not a name in Python")


def _check_no_script(request: AdviceRequest) -> Iterator[FieldViolation]:
    """Yield what is asked for of a model file that only scripts have."""
    if request.source.arguments:
        yield FieldViolation(
            "request.source.arguments",
            "a model file takes no command line; build_kwargs gives build_model its arguments",
        )
    if request.observe_only:
        yield FieldViolation(
            "request.observe_only",
            "a model file trains nothing by itself that could be observed: leave --observe-only "
            "out, or give the script that trains",
        )
    if request.model_class is not None:
        yield FieldViolation(
            "request.model_class",
            "a model file's model is what `build_model` returns: leave --model-class out",
        )
    if request.data_paths:
        yield FieldViolation(
            "request.data_paths",
            "a model file reads its data by absolute paths: leave --data-path out",
        )


def _check_script(request: AdviceRequest) -> Iterator[FieldViolation]:
    """Yield what is wrong with what is said of a script."""
    if request.model_class is not None and not request.model_class.isidentifier():
        yield FieldViolation("request.model_class", "must be the name of a class in the file")
    for name, path in request.data_paths.items():
        if not is_plain_path(name.removeprefix("../")) or not path.startswith("/"):
            yield FieldViolation(
                "request.data_paths",
                f"{name!r} must be a plain relative path, or one behind '../', and what it stands "
                "for an absolute path",
            )


def _check_command(request: AdviceRequest) -> Iterator[FieldViolation]:
    try:
        begun = placeholders(request.source.arguments)
    except ValueError as error:
        yield FieldViolation("request.source.arguments", str(error))
        return
    if Quantity.MICRO_BATCH_SIZE not in begun:
        yield FieldViolation(
            "request.source.arguments", "a command says with {batch} where its batch size goes"
        )
    asked = {
        "objective": request.objective not in (Objective.TIME, Objective.THROUGHPUT),
        "target_loss": request.target_loss is not None,
        "train_for": request.train_for is not None,
        "observe_only": request.observe_only,
        "model_class": request.model_class is not None,
        "world_size": request.world_size > 1,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        yield FieldViolation(
            f"request.{name}",
            "runs of a command on one device show its memory and speed alone; leave this out, or "
            "ask about the script without placeholders",
        )


def check_estimate(request: AdviceRequest) -> Iterator[FieldViolation]:
    """Yield what is wrong with a request for an estimate, which has no device of its own."""
    if request.source.entry_kind is not EntryKind.MODEL_FILE:
        yield FieldViolation(
            "request.source.entry_kind",
            "a script is run to see what it trains with, which an estimate does not do; ask for a "
            "recommendation",
        )


def check_python(
    request: AdviceRequest, pythons: Collection[Path] | None
) -> Iterator[FieldViolation]:
    """Yield what is wrong with the interpreter that a request names.

    Args:
        request: The request.
        pythons: Those that may be named; None for any.
    """
    if request.python is None:
        return
    path = Path(request.python)
    if pythons is not None and path not in pythons:
        allowed = ", ".join(map(str, pythons)) or "no other than its own"
        yield FieldViolation("request.python", f"this daemon runs {allowed}, not {path}")
    elif not path.is_absolute() or not path.is_file() or not os.access(path, os.X_OK):
        yield FieldViolation("request.python", f"there is no program {path} on this machine")


def check_budget(request: AdviceRequest, most_s: float | None) -> Iterator[FieldViolation]:
    """Yield what is wrong with the budget of a request.

    Args:
        request: The request.
        most_s: The largest that the caller may ask for; None for any.
    """
    if most_s is not None and request.budget_s > most_s:
        yield FieldViolation("request.budget_s", f"must be at most {most_s:g} s on this daemon")


async def resolve(
    request: AdviceRequest, inventory: DeviceInventory, *violations: FieldViolation
) -> Device:
    """Return the device of a request that can be carried out.

    Args:
        request: The request.
        inventory: Where devices are found.
        violations: What else is known to be wrong.

    Raises:
        InvalidRequest: Something is wrong; it names all that is.
    """
    found = [*violations, *check_request(request)]
    try:
        device = await asyncio.to_thread(inventory.find, request.device)
    except NotFound as error:
        raise InvalidRequest(*found, FieldViolation("request.device", str(error))) from error
    if found:
        raise InvalidRequest(*found)
    return device

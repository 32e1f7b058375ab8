"""Finds what to change for an advice, by reading the user's files: nothing of them is run."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from dataclasses import replace

from bsadvise.exports.changes.accumulation import accumulation_change, accumulation_note
from bsadvise.exports.changes.numbers import find_number, is_number
from bsadvise.exports.changes.values import Change, Changes, Edit, Sources
from bsadvise.exports.formats.settings import learning_rate
from bsadvise.model.advice import Advice
from bsadvise.model.observation import Place, Quantity, Reference
from bsadvise.model.placeholders import filled, name_of, placeholders
from bsadvise.model.request import EntryKind
from bsadvise.model.units import number_text


def find_changes(advice: Advice, sources: Sources) -> Changes:
    """Return what to change so that the advised setting is trained with.

    Args:
        advice: The answer.
        sources: The files that it is the answer for; their lines are those of its ``reference``.
    """
    if sources.entry_kind is EntryKind.COMMAND:
        return _in_command(advice, sources)
    if sources.entry_kind is EntryKind.SCRIPT and advice.reference is None:
        return Changes()
    if advice.reference is None:
        found = Changes(values=tuple(_in_model_file(advice, sources)))
    else:
        found = _in_script(advice, advice.reference, sources)
    change, note = accumulation_change(advice), accumulation_note(advice)
    return replace(
        found,
        values=(*found.values, change) if change else found.values,
        notes=(*found.notes, note) if note else found.notes,
    )


def _in_script(advice: Advice, reference: Reference, sources: Sources) -> Changes:
    batch: tuple[Quantity, float | None, float | None] = (
        Quantity.MICRO_BATCH_SIZE,
        reference.micro_batch_size,
        advice.micro_batch_size,
    )
    if reference.place_of(batch[0]) is None and reference.place_of(Quantity.BATCH_SIZE):
        # Of one process, as the script divides it.
        new_batch = advice.micro_batch_size * advice.accumulation_steps
        batch = (Quantity.BATCH_SIZE, reference.batch_size, new_batch)
    wanted = [
        batch,
        (Quantity.LEARNING_RATE, reference.learning_rate, learning_rate(advice)),
    ]
    found: list[Change] = []
    notes: list[str] = []
    arguments = list(sources.arguments)
    for quantity, old, new in wanted:
        if old is None or new is None or number_text(old) == number_text(new):
            continue
        place = reference.place_of(quantity)
        if place is None:
            notes.append(
                f"set {quantity} to {number_text(new)}, {_candidates(reference, quantity)}"
            )
            continue
        if place.file is None:
            arguments = with_flag(arguments, place.name, old, number_text(new))
        found.append(
            Change(
                what=quantity.value,
                where=str(place),
                before=number_text(old),
                after=number_text(new),
                is_confirmed=place.is_confirmed,
                edit=_edit(sources, place, old, new),
            )
        )
    is_new = tuple(arguments) != sources.arguments
    command = shlex.join(["python", sources.entry_path, *arguments]) if is_new else ""
    return Changes(values=tuple(found), command=command, notes=tuple(notes))


def _in_command(advice: Advice, sources: Sources) -> Changes:
    begun = placeholders(sources.arguments)
    after = {
        Quantity.MICRO_BATCH_SIZE: number_text(advice.micro_batch_size),
        Quantity.LEARNING_RATE: number_text(advice.learning_rate),
        Quantity.ACCUMULATION_STEPS: number_text(advice.accumulation_steps),
    }
    changes = (
        Change(
            what=quantity.value,
            where=name_of(quantity),
            before=name_of(quantity) if value is None else f"{value:g}",
            after=after[quantity],
        )
        for quantity, value in begun.items()
    )
    words = ["python", sources.entry_path, *filled(sources.arguments, after)]
    return Changes(values=tuple(changes), command=shlex.join(words))


def _candidates(reference: Reference, quantity: Quantity) -> str:
    places = [str(place) for place in reference.where if place.quantity is quantity]
    if not places:
        return "where the script computes it: no flag, key or number was found that says it"
    return f"which none of these was seen to decide alone: {'; '.join(places)}"


def with_flag(arguments: list[str], name: str, old: float, new: str) -> list[str]:
    """Return a command line on which a flag, or a key, has another value.

    Args:
        arguments: As it is.
        name: "--lr", or a key as in "optim.lr=0.1".
        old: The value that it has, whether said or by default.
        new: The value to give.
    """
    # A flag that is said twice is changed twice: parsers differ in which they follow.
    changed, is_said = list(arguments), False
    for position, argument in enumerate(arguments):
        before, equals, text = argument.rpartition("=")
        if equals and before == name and is_number(text, old):
            changed[position], is_said = f"{name}={new}", True
        elif position and arguments[position - 1] == name and is_number(argument, old):
            changed[position], is_said = new, True
    if is_said:
        return changed
    return [*changed, name, new] if name.startswith("-") else [*changed, f"{name}={new}"]


def _edit(sources: Sources, place: Place, old: float, new: float) -> Edit | None:
    if place.file is None or place.line is None or place.file not in sources.files:
        return None
    return edit_number(sources.files[place.file], place.file, place.line, place.name, old, new)


def edit_number(
    content: bytes, file: str, line: int, name: str, old: float, new: float
) -> Edit | None:
    """Return the edit that gives a name another number on a line; None where that is not sure.

    Args:
        content: The file.
        file: Its path.
        line: The line, from 1.
        name: What is given the number there.
        old: The number that is there.
        new: The number to be there.
    """
    lines = content.splitlines(keepends=True)
    if not 1 <= line <= len(lines):
        return None
    span = find_number(lines[line - 1], old, name)
    if span is None:
        return None
    start = sum(map(len, lines[: line - 1]))
    return Edit(
        file=file,
        begin=start + span[0],
        end=start + span[1],
        text=number_text(new).encode(),
    )


def _in_model_file(advice: Advice, sources: Sources) -> Iterator[Change]:
    """Yield the constants of the reference recipe, and the default rate of ``build_optimizer``."""
    file = sources.entry_path
    content = sources.files.get(file, b"")
    rate = learning_rate(advice)
    for name, what, node in _named_values(ast.parse(content)):
        new: float | None = advice.effective_batch_size if what == "effective_batch_size" else rate
        if new is None:
            continue
        old = _number(node)
        if old is not None and number_text(old) == number_text(new):
            continue
        yield Change(
            what=what,
            where=f"{name}, {file}:{node.lineno}",
            before=ast.unparse(node),
            after=number_text(new),
            edit=None if old is None else edit_number(content, file, node.lineno, name, old, new),
        )


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as number):
            return number
    return None


_CONSTANTS = {"REFERENCE_BATCH_SIZE": "effective_batch_size", "REFERENCE_LR": "learning_rate"}


def _named_values(tree: ast.Module) -> Iterator[tuple[str, str, ast.expr]]:
    for statement in tree.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if name in _CONSTANTS:
                yield name, _CONSTANTS[name], value
            case ast.FunctionDef(name="build_optimizer", args=arguments):
                positional = [*arguments.posonlyargs, *arguments.args]
                # Of its two arguments the second is the rate.
                if len(positional) > 1 and len(arguments.defaults) >= len(positional) - 1:
                    default = arguments.defaults[1 - len(positional)]
                    yield positional[1].arg, "learning_rate", default

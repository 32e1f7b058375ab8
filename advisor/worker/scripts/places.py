"""Finds where the user's code may say a number, by reading it: nothing of it is run."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bsadvise.model.observation import Place, PlaceKind, Quantity

from advisor.worker.scripts.surroundings import Change, Script

_CONFIGURATION_SUFFIXES = (".json", ".yaml", ".yml", ".toml", ".ini", ".cfg")
_PAIR = re.compile(r"""["']?([A-Za-z_][\w.-]*)["']?[ \t]*[:=][ \t]*(-?[\d.][\w.+-]*)""")

_BATCH = re.compile(r"batch|^-*(bs|bsz|b)$", re.IGNORECASE)
_NAMES = {
    Quantity.MICRO_BATCH_SIZE: _BATCH,
    Quantity.BATCH_SIZE: _BATCH,
    Quantity.LEARNING_RATE: re.compile(
        r"(^|[_.-])(lr|eta|rate|alpha)($|[_.-])|learning", re.IGNORECASE
    ),
}
_OTHER_NAMES = re.compile(r"val|test|eval|decay|min|warm|end|final|norm", re.IGNORECASE)
"""Of batches and rates that are not those of training."""

_OPTIONS = ("add_argument", "option", "Option")
"""Functions of argparse, click and typer that make a flag, whose default they are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A place that may say a value, and how to say another there.

    Attributes:
        place: The place.
        change: The number in its file; None for a flag.
        argument: Which argument of the command line has it; None for a flag that is not given.
    """

    place: Place
    change: Change | None = None
    argument: int | None = None

    @property
    def is_named(self) -> bool:
        """Whether the place is named for what the value is of."""
        name = self.place.name
        return bool(_NAMES[self.place.quantity].search(name)) and not _OTHER_NAMES.search(name)

    def changed(self, script: Script, text: str) -> Script:
        """Return the script with another value said at this place."""
        if self.change is not None:
            return replace(script, changes=(*script.changes, replace(self.change, text=text)))
        arguments = list(script.arguments)
        if self.argument is None:
            arguments += [self.place.name, text]
        else:
            name, equals, _ = arguments[self.argument].rpartition("=")
            arguments[self.argument] = f"{name}{equals}{text}"
        return replace(script, arguments=tuple(arguments))


def find_candidates(
    source_dir: Path,
    arguments: tuple[str, ...],
    flags: Iterable[str],
    quantity: Quantity,
    value: float,
) -> list[Candidate]:
    """Return the places that may say a value, likely ones first.

    Flags come before configuration files, these before the code, and what is named for the
    quantity before what is not.

    Args:
        source_dir: The bundle.
        arguments: The command line of the script.
        flags: Those of its parsers that came to the value.
        quantity: What the value is of.
        value: The value that was seen.
    """
    found = [*_in_arguments(arguments, quantity, value)]
    found += [
        Candidate(place=Place(quantity=quantity, kind=PlaceKind.FLAG, name=flag)) for flag in flags
    ]
    for path in sorted(source_dir.rglob("*")):
        file = path.relative_to(source_dir).as_posix()
        if path.suffix in _CONFIGURATION_SUFFIXES:
            found += _in_configuration(path.read_bytes(), file, quantity, value)
        elif path.suffix == ".py":
            found += _in_code(path.read_bytes(), file, quantity, value)
    # A flag may be found in more ways than one; the first says most of how to give it.
    by_place: dict[Place, Candidate] = {}
    for candidate in sorted(found, key=_unlikeliness):
        by_place.setdefault(candidate.place, candidate)
    return list(by_place.values())


_ORDER = (PlaceKind.FLAG, PlaceKind.CONFIGURATION_KEY, PlaceKind.CONSTANT, PlaceKind.LITERAL)


def _unlikeliness(candidate: Candidate) -> tuple[bool, int]:
    return not candidate.is_named, _ORDER.index(candidate.place.kind)


def _in_arguments(
    arguments: tuple[str, ...], quantity: Quantity, value: float
) -> Iterator[Candidate]:
    """Yield ``--name value``, ``--name=value`` and ``name=value`` of the command line."""
    for number, argument in enumerate(arguments):
        name, equals, text = argument.rpartition("=")
        if not equals:
            name, text = arguments[number - 1] if number else "", argument
        is_name = bool(equals) or name.startswith("-")
        if is_name and _says(text, value):
            place = Place(quantity=quantity, kind=PlaceKind.FLAG, name=name)
            yield Candidate(place=place, argument=number)


def _in_configuration(
    source: bytes, file: str, quantity: Quantity, value: float
) -> Iterator[Candidate]:
    """Yield keys of JSON, YAML, TOML and INI: all of them write a key and a number alike."""
    # Latin-1 keeps a character for each byte, so that columns are bytes.
    for line, row in enumerate(source.split(b"\n"), start=1):
        text = row.decode("latin-1")
        for match in _PAIR.finditer(text):
            if _says(match[2], value):
                yield Candidate(
                    place=Place(
                        quantity=quantity,
                        kind=PlaceKind.CONFIGURATION_KEY,
                        name=match[1],
                        file=file,
                        line=line,
                    ),
                    change=Change(
                        file=file,
                        line=line,
                        begin=match.start(2),
                        end=match.end(2),
                        text=match[2],
                    ),
                )


def _in_code(source: bytes, file: str, quantity: Quantity, value: float) -> Iterator[Candidate]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    for kind, name, node in _named_numbers(tree):
        if not _is_said(node.value, value) or node.end_lineno != node.lineno:
            continue
        is_flag = kind is PlaceKind.FLAG
        quote = int(isinstance(node.value, str))
        change = Change(
            file=file,
            line=node.lineno,
            begin=node.col_offset + quote,
            end=(node.end_col_offset or node.col_offset) - quote,
            text=str(node.value),
        )
        yield Candidate(
            place=Place(
                quantity=quantity,
                kind=kind,
                name=name,
                file=None if is_flag else file,
                line=None if is_flag else node.lineno,
            ),
            change=None if is_flag else change,
        )


def _named_numbers(tree: ast.Module) -> Iterator[tuple[PlaceKind, str, ast.Constant]]:
    """Yield each constant that has a name: what is assigned, passed, or a default.

    Of text, which may be a number's, what is passed alone.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[target], value=value):
                for name, number in _assigned(target, value):
                    yield PlaceKind.CONSTANT, name, number
            case ast.AnnAssign(target=target, value=ast.Constant() as number):
                yield PlaceKind.CONSTANT, _last_name(target), number
            case ast.Dict():
                for key, item in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(item, ast.Constant):
                        yield PlaceKind.CONSTANT, str(key.value), item
            case ast.arguments():
                yield from _defaults(node)
            case ast.Call():
                yield from _passed(node)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.Constant]]:
    """Yield the names and numbers of ``name = 1`` and of ``one, other = 1, 2``."""
    match target, value:
        case _, ast.Constant(value=int() | float()):
            yield _last_name(target), value
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            for one, number in zip(targets, values, strict=True):
                yield from _assigned(one, number)


def _defaults(arguments: ast.arguments) -> Iterator[tuple[PlaceKind, str, ast.Constant]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(reversed(positional), reversed(arguments.defaults), strict=False),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        if isinstance(default, ast.Constant):
            yield PlaceKind.LITERAL, argument.arg, default


_SECOND_ARGUMENTS: dict[str, str] = {"DataLoader": "batch_size"}
"""What a number passed second is, by what is called; of others it is named for the call."""


def _passed(call: ast.Call) -> Iterator[tuple[PlaceKind, str, ast.Constant]]:
    function = _last_name(call.func)
    flag = next(
        (
            argument.value
            for argument in reversed(call.args)
            if isinstance(argument, ast.Constant) and str(argument.value).startswith("--")
        ),
        None,
    )
    for keyword in call.keywords:
        if isinstance(keyword.value, ast.Constant) and keyword.arg is not None:
            if function in _OPTIONS and keyword.arg == "default" and flag is not None:
                yield PlaceKind.FLAG, str(flag), keyword.value
            else:
                yield PlaceKind.LITERAL, keyword.arg, keyword.value
    for number, argument in enumerate(call.args):
        if isinstance(argument, ast.Constant):
            name = _SECOND_ARGUMENTS.get(function) or _key(call) if number == 1 else None
            yield PlaceKind.LITERAL, name or function, argument


def _key(call: ast.Call) -> str | None:
    """Return what is asked for by ``settings.get("name", 1)`` and ``os.getenv("NAME", "1")``."""
    match call.args:
        case [ast.Constant(value=str(key)), *_]:
            return key
    return None


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Attribute():
            return node.attr
        case ast.Name():
            return node.id
        case ast.Subscript(slice=ast.Constant(value=key)):
            return str(key)
    return ""


def _is_said(said: object, value: float) -> bool:
    return _says(said, value) if isinstance(said, str) else is_number(said, value)


def _says(text: str, value: float) -> bool:
    """Return whether a text is the number."""
    try:
        return is_number(float(text), value)
    except ValueError:
        return False


def is_number(said: object, value: float) -> bool:
    """Return whether something is a number, and that one but for rounding."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        return False
    return math.isclose(said, value, rel_tol=1e-9)

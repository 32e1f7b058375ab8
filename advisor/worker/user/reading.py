"""What a model file is, found by reading it: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_TRAINERS = frozenset({"fit", "train"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherKind:
    """What a file is in place of a model file.

    Attributes:
        message: What was found.
        fix: What to write.
        line: Where.
    """

    message: str
    fix: str
    line: int


def other_kind(source: bytes) -> OtherKind | None:
    """Return what a file without `build_model` is instead; None where that cannot be told.

    Args:
        source: The file. One that does not parse is for its import to complain of.
    """
    tree = parsed(source)
    if tree is None or _may_have(tree, "build_model"):
        return None
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and "LightningModule" in map(
            _last_name, statement.bases
        ):
            return _lightning(statement)
    training = next(_training_calls(tree), None)
    return None if training is None else _script(training)


def parsed(source: bytes) -> ast.Module | None:
    """Return the syntax tree of a file; None where it does not parse."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def line_of_function(source: bytes, name: str) -> int | None:
    """Return where a file defines a function, in a class or not; None where it nowhere does."""
    for node in ast.walk(parsed(source) or ast.Module([], [])):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node.lineno
    return None


def line_of_return(source: bytes, name: str) -> int | None:
    """Return where the last `return` of a function stands; None where it has none."""
    for node in ast.walk(parsed(source) or ast.Module([], [])):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            lines = [inner.lineno for inner in ast.walk(node) if isinstance(inner, ast.Return)]
            return max(lines, default=node.lineno)
    return None


def line_of_call(
    source: bytes, *names: str, keyword: tuple[str, object] | None = None
) -> int | None:
    """Return the first line that calls one of some names, or any with a keyword argument.

    Args:
        source: The file.
        names: What is called, without what stands before the last dot.
        keyword: Name and value of a keyword argument that the call must have.
    """
    lines = [
        node.lineno
        for node in ast.walk(parsed(source) or ast.Module([], []))
        if isinstance(node, ast.Call)
        and (not names or _last_name(node.func) in names)
        and (keyword is None or keyword in map(_constant, node.keywords))
    ]
    return min(lines, default=None)


def reentrant_checkpoint(source: bytes) -> int | None:
    """Return the first line that checkpoints without `use_reentrant=False`; None without one."""
    lines = [
        node.lineno
        for node in ast.walk(parsed(source) or ast.Module([], []))
        if isinstance(node, ast.Call)
        and _last_name(node.func) in {"checkpoint", "checkpoint_sequential"}
        and ("use_reentrant", False) not in map(_constant, node.keywords)
    ]
    return min(lines, default=None)


def _constant(keyword: ast.keyword) -> tuple[str | None, object]:
    value = keyword.value
    return keyword.arg, value.value if isinstance(value, ast.Constant) else None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _may_have(tree: ast.Module, name: str) -> bool:
    """Return whether a file may give a name a value: it says it somewhere, or imports all."""
    words: set[object] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                words.add(node.name)
            case ast.Name(id=word) | ast.Constant(value=str(word)) | ast.Attribute(attr=word):
                words.add(word)
            case ast.ImportFrom() | ast.Import():
                words.update(alias.asname or alias.name for alias in node.names)
    return not words.isdisjoint({name, "*"})


def _training_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls by which a script trains: a backward pass, or that of a trainer."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = ast.unparse(node.func.value).lower()
        is_trainer = node.func.attr in _TRAINERS and "trainer" in owner
        if node.func.attr == "backward" or is_trainer:
            yield node


def _lightning(module: ast.ClassDef) -> OtherKind:
    return OtherKind(
        message=f"`{module.name}` is a LightningModule, and there is no `build_model`: this is no "
        "model file",
        fix=f"Write one beside it that imports it:\n"
        f"    def build_model():\n        return {module.name}()\n"
        "    def build_dataset():\n        return the data set of its training loader\n"
        "    def loss_fn(model, batch):\n        return model.training_step(batch, 0)",
        line=module.lineno,
    )


def _script(call: ast.Call) -> OtherKind:
    return OtherKind(
        message=f"This is a script that trains by itself (`{ast.unparse(call)[:60]}`), and there "
        "is no `build_model`: no model file. It was not run",
        fix="Move what makes the model into `def build_model():` and what makes the data into "
        "`def build_dataset():`, each returning it; keep the loop under "
        "`if __name__ == '__main__':`.",
        line=call.lineno,
    )

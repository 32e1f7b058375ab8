"""What an entry file is, found by reading it: nothing of it is run."""

from __future__ import annotations

import ast

from bsadvise.model.request import EntryKind

_HOOKS = frozenset({"build_model", "build_dataset", "make_batch"})
"""Names of the model-file contract alone; a file that misspells one has the others."""

_TRAINING_CALLS = frozenset({"fit", "train", "main", "run"})

_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def entry_kind_of(tree: ast.Module) -> EntryKind:
    """Return what a file is: a script if it does something when it is run, and else a model file.

    A file that names the contract's hooks is a model file whatever else it does; one that defines a
    Lightning module is a script, even where it leaves the training to another file.
    """
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.Name(id=name) | ast.Attribute(attr=name):
                names.add(name)
            case ast.ImportFrom(names=imported) | ast.Import(names=imported):
                names.update(alias.asname or alias.name for alias in imported)
    # All that a module has may be imported, hooks among them.
    if not names.isdisjoint(_HOOKS | {"*"}):
        return EntryKind.MODEL_FILE
    is_script = any(_does_something(s) or _is_lightning_module(s) for s in tree.body)
    return EntryKind.SCRIPT if is_script else EntryKind.MODEL_FILE


def _is_lightning_module(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.ClassDef):
        return False
    return any(ast.unparse(base).endswith("LightningModule") for base in statement.bases)


def _does_something(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant()):
            return False  # A docstring.
        case ast.Assign(value=value) | ast.AnnAssign(value=value):
            return value is not None and any(map(_trains, ast.walk(value)))
        case _:
            return not isinstance(statement, _DEFINITIONS)


def _trains(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in _TRAINING_CALLS
        case _:
            return False

"""What a training script is made of, found by reading it: nothing of it is run."""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_MOVES = frozenset({"to", "cuda", "cpu", "train", "float", "half", "bfloat16"})
"""Methods that move a model or set a mode, which the advisor does itself."""

_MOST_ASSIGNMENTS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An expression of a script, with what it needs.

    Attributes:
        line: Where it stands in the script.
        value: The expression; what an ArgumentParser would set is its default.
        before: Assignments that it needs, in order.
        unknown: Names that it needs and that no assignment or definition was found for.
    """

    line: int
    value: ast.expr
    before: tuple[ast.Assign, ...] = ()
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptParts:
    """The parts of a training script; None, or nothing, for what was not found.

    Attributes:
        model: What makes the model.
        dataset: What makes the training data, as a DataLoader is given it: the first that
            shuffles, else the first.
        batch_size: As that DataLoader is given it.
        optimizer: The call that makes the optimizer.
        learning_rate: As that is given it.
        loss: What computes the loss of a batch.
        defined: Names that the script defines or imports at its top.
        does_something: Whether importing it would do more than define.
    """

    model: Part | None
    dataset: Part | None
    batch_size: Part | None
    optimizer: Part | None
    learning_rate: Part | None
    loss: Part | None
    defined: frozenset[str]
    does_something: bool


def script_parts(tree: ast.Module) -> ScriptParts:
    """Return the parts of a training script."""
    reader = _Reader(tree)
    loader = reader.training_loader()
    optimizer = next(reader.optimizers(), None)
    return ScriptParts(
        model=reader.model(),
        dataset=reader.part(_argument(loader, 0, "dataset")),
        batch_size=reader.number(_argument(loader, 1, "batch_size")),
        optimizer=reader.part(optimizer),
        learning_rate=reader.number(_argument(optimizer, 1, "lr")),
        loss=reader.loss(),
        defined=frozenset(reader.defined),
        does_something=any(map(_does_something, tree.body)),
    )


class _Reader:
    """Reads one script."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes = list(ast.walk(tree))
        self._defaults = dict(_parser_defaults(self._nodes))
        self._parsed = {
            target.id
            for node in self._nodes
            if isinstance(node, ast.Assign) and _name_of(node.value) == "parse_args"
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self._assigned: dict[str, list[ast.Assign]] = {}
        for node in self._nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]):
                    self._assigned.setdefault(name, []).append(node)
        self._modules = {
            node.name
            for node in self._nodes
            if isinstance(node, ast.ClassDef)
            and any(ast.unparse(base).endswith("Module") for base in node.bases)
        }
        self.defined = {name for one in tree.body for name in definitions_of(one)}

    def calls(self, name: str) -> Iterator[ast.Call]:
        """Yield calls of a name, in the script's order."""
        found = (n for n in self._nodes if isinstance(n, ast.Call) and _name_of(n) == name)
        yield from sorted(found, key=lambda call: (call.lineno, call.col_offset))

    def training_loader(self) -> ast.Call | None:
        """Return the call that makes the loader of the training data."""
        loaders = list(self.calls("DataLoader"))

        def is_shuffled(loader: ast.Call) -> bool:
            shuffle = _argument(loader, 2, "shuffle")
            return isinstance(shuffle, ast.Constant) and shuffle.value is True

        return next(filter(is_shuffled, loaders), loaders[0] if loaders else None)

    def optimizers(self) -> Iterator[ast.Call]:
        """Yield calls that are given parameters and a rate."""
        for node in self._nodes:
            if isinstance(node, ast.Call) and _argument(node, 1, "lr") is not None:
                first = node.args[0] if node.args else None
                if first is not None and "parameters" in ast.unparse(first):
                    yield node

    def model(self) -> Part | None:
        """Return what makes the model: a call of a module's class, or what is trained."""
        for name in sorted(self._modules):
            for call in self.calls(name):
                if not self._is_inside_a_module(call):
                    return self.part(call)
        for node in self._nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id="model" | "net")], value=value):
                    return self.part(value)
        return None

    def loss(self) -> Part | None:
        """Return a loss of two arguments, outputs and targets, that is assigned to a name."""
        for node in self._nodes:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)], value=ast.Call(args=[_, _], keywords=[]) as call
                ) if "loss" in name and isinstance(call.func, ast.Name | ast.Attribute):
                    return self.part(call.func)
        return None

    def part(self, value: ast.expr | None) -> Part | None:
        """Return an expression with the assignments that it needs."""
        if value is None:
            return None
        line, value = value.lineno, self._settled(value)
        before: list[ast.Assign] = []
        unknown: set[str] = set()
        open_names = list(_names(value))
        while open_names:
            name = open_names.pop()
            if name in self.defined or any(name == _target(one) for one in before):
                continue
            earlier = [one for one in self._assigned.get(name, ()) if one.lineno < line]
            if len(earlier) != 1 or len(before) == _MOST_ASSIGNMENTS:
                unknown.add(name)
                continue
            settled = ast.Assign(
                targets=earlier[0].targets,
                value=self._settled(earlier[0].value),
                lineno=earlier[0].lineno,
            )
            before.append(settled)
            open_names += _names(settled.value)
        before.sort(key=lambda one: one.lineno)
        return Part(line=line, value=value, before=tuple(before), unknown=frozenset(unknown))

    def number(self, value: ast.expr | None) -> Part | None:
        """Return an expression, or the constant that its name stands for."""
        part = self.part(value)
        match part:
            case Part(line=line, value=ast.Name(id=name)):
                values = [one.value for one in self._assigned.get(name, ())]
                if len(values) == 1 and isinstance(values[0], ast.Constant):
                    return Part(line=line, value=values[0])
        return part

    def _settled(self, value: ast.expr) -> ast.expr:
        """Return an expression without moves, with the defaults of parsed arguments."""
        settled: ast.expr = _Defaults(self._parsed, self._defaults).visit(copy.deepcopy(value))
        while isinstance(settled, ast.Call) and isinstance(settled.func, ast.Attribute):
            if settled.func.attr not in _MOVES:
                break
            settled = settled.func.value
        return ast.fix_missing_locations(settled)

    def _is_inside_a_module(self, call: ast.Call) -> bool:
        return any(
            isinstance(node, ast.ClassDef) and call in ast.walk(node) for node in self._nodes
        )


class _Defaults(ast.NodeTransformer):
    """Puts the default of a parsed argument where that is read."""

    def __init__(self, parsed: Iterable[str], defaults: dict[str, ast.expr]) -> None:
        self._parsed, self._defaults = parsed, defaults

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Return the default, or the attribute as it is."""
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in self._parsed:
                return copy.deepcopy(self._defaults.get(attr, node))
        self.generic_visit(node)
        return node


def _parser_defaults(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Yield the arguments that an ArgumentParser is given with a default."""
    for node in nodes:
        if not isinstance(node, ast.Call) or _name_of(node) != "add_argument":
            continue
        keywords = {one.arg: one.value for one in node.keywords}
        flags = [one.value for one in node.args if isinstance(one, ast.Constant)]
        flag = next((str(one) for one in flags if str(one).startswith("--")), "")
        match keywords.get("dest"):
            case ast.Constant(value=str(name)):
                pass
            case _:
                name = flag.removeprefix("--").replace("-", "_")
        default = keywords.get("default")
        if default is None and ast.unparse(keywords.get("action", ast.Constant(""))) == (
            "'store_true'"
        ):
            default = ast.Constant(value=False)
        if name and default is not None:
            yield name, default


def _argument(call: ast.Call | None, position: int, name: str) -> ast.expr | None:
    if call is None:
        return None
    named = next((one.value for one in call.keywords if one.arg == name), None)
    if named is not None or len(call.args) <= position:
        return named
    return call.args[position]


def _name_of(node: ast.AST) -> str | None:
    """Return the last name of what is called."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return None


def _target(assignment: ast.Assign) -> str:
    target = assignment.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _names(value: ast.expr) -> set[str]:
    """Return the names that an expression needs from outside of it."""
    nodes = list(ast.walk(value))
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    own = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    return read - own - set(dir(builtins))


def definitions_of(statement: ast.stmt) -> list[str]:
    """Return the names that a statement at a file's top defines without doing anything else."""
    match statement:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [(one.asname or one.name).split(".")[0] for one in aliases]
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()):
            return [name]
    return []


def _does_something(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant()):
            return False  # A docstring.
        case ast.If(test=test):
            return "__name__" not in ast.unparse(test)
    return not definitions_of(statement)

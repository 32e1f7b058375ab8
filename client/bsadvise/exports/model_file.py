"""A model file from a training script: a beginning, with what is not known left to be filled in."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator

from bsadvise.source.script_parts import Part, ScriptParts, definitions_of, script_parts

_PLAIN_NAME = re.compile(r"[\w .-]+")


def model_file(source: str, script: str, name: str) -> str:
    """Return the text of a model file.

    Args:
        source: The script.
        script: Its file's name, such as "train.py".
        name: The model file's name.

    Raises:
        SyntaxError: The script is none.
    """
    tree = ast.parse(source)
    parts = script_parts(tree)
    # A name can hold what would end a comment.
    script, name = (one if _PLAIN_NAME.fullmatch(one) else "the script" for one in (script, name))
    blocks = [
        _heading(script, name),
        _imports(tree, parts, source, script),
        _constants(parts, script),
        _model(parts, script),
        _dataset(parts, script),
        *_optimizer(parts, script),
        _loss(parts, script),
        _OPTIONAL,
    ]
    return "\n\n\n".join(block.strip("\n") for block in blocks if block.strip()) + "\n"


_OPTIONAL = """
# Optional too, with what holds without them; docs/model-file.md has all names:
#
# def build_eval_dataset():  # a tenth of the training data, which is then not trained on
#     return ...
#
#
# def evaluate(model, loader):  # the mean loss; whatever it returns, lower is better
#     return ...
#
#
# def collate_fn(samples):  # PyTorch's default
#     return ...
#
#
# PRECISION = "bf16"  # "fp32"
# NUM_WORKERS = 4  # 0
# TOTAL_EPOCHS = 90  # nothing: the advice is for about as long as its trials
"""


def _heading(script: str, name: str) -> str:
    return (
        f'"""The training of {script}, for: bsadvise recommend {name}\n\n'
        "Written from what the script says; nothing of it was run. Check each function.\n"
        '"""'
    )


def _imports(tree: ast.Module, parts: ScriptParts, source: str, script: str) -> str:
    """Return what the functions below need: from the script, or copied where that would train."""
    needed = _needed(tree, parts)
    imports = [ast.unparse(one) for one in needed if isinstance(one, ast.Import | ast.ImportFrom)]
    own = [one for one in needed if not isinstance(one, ast.Import | ast.ImportFrom)]
    if not own:
        return "\n".join(imports)
    module = script.removesuffix(".py")
    if not parts.does_something and module.isidentifier():
        names = ", ".join(sorted(name for one in own for name in definitions_of(one)))
        return "\n".join([*imports, "", f"from {module} import {names}"])
    lines = source.splitlines()
    copied = [f"# Copied, since importing {script} would train:"]
    for one in own:
        decorators = one.decorator_list if isinstance(one, ast.FunctionDef | ast.ClassDef) else ()
        begin = min([one.lineno, *(decorator.lineno for decorator in decorators)])
        copied.append("\n".join(lines[begin - 1 : one.end_lineno]))
    return "\n\n\n".join(["\n".join(imports), "\n".join(copied[:2]), *copied[2:]])


def _needed(tree: ast.Module, parts: ScriptParts) -> list[ast.stmt]:
    """Return the imports and definitions that the parts need, in the script's order."""
    chosen = (parts.model, parts.dataset, parts.optimizer, parts.loss)
    names = {
        name
        for part in chosen
        if part is not None
        for value in (part.value, *(one.value for one in part.before))
        for name in _names(value)
    }
    needed: list[ast.stmt] = []
    for statement in reversed(tree.body):  # What a definition needs is defined before it is.
        if not names.isdisjoint(definitions_of(statement)):
            needed.insert(0, statement)
            names |= _names(statement)
    return needed


def _constants(parts: ScriptParts, script: str) -> str:
    rows = [
        _constant("REFERENCE_BATCH_SIZE", parts.batch_size, "32", script),
        _constant("REFERENCE_LR", parts.learning_rate, "1e-3", script),
    ]
    return "# The recipe that the search starts from and compares with.\n" + "\n".join(rows)


def _constant(name: str, part: Part | None, example: str, script: str) -> str:
    match part:
        case Part(value=ast.Constant(value=int() | float() as value)):
            return f"{name} = {value!r}  # {script}:{part.line}"
    return f"# {name} = {example}  # {script} does not say it as a number"


def _model(parts: ScriptParts, script: str) -> str:
    return _function("build_model()", parts.model, script, "a torch.nn.Module, fresh weights")


def _dataset(parts: ScriptParts, script: str) -> str:
    return _function(
        "build_dataset()", parts.dataset, script, "the training samples, a torch Dataset"
    )


def _optimizer(parts: ScriptParts, script: str) -> Iterator[str]:
    part = parts.optimizer
    if part is None or not isinstance(part.value, ast.Call):
        return
    call = part.value
    others = [one for one in call.keywords if one.arg not in ("lr", "params")]
    arguments = ["params", "lr=lr", *(ast.unparse(one) for one in others)]
    head = f"def build_optimizer(params, lr):  # {script}:{part.line}"
    body = f"    return {ast.unparse(call.func)}({', '.join(arguments)})"
    known = {name for one in others for name in _names(one.value)} - parts.defined
    text = f"{head}\n{body}"
    yield _commented(f"{text}\n# Say what {', '.join(sorted(known))} is.") if known else text


def _loss(parts: ScriptParts, script: str) -> str:
    part = parts.loss
    if part is None or part.unknown:
        return _commented(
            "def loss_fn(model, batch):  # cross-entropy, or squared error of real targets\n"
            "    inputs, targets = batch\n"
            "    return ..."
        )
    before = "".join(f"    {ast.unparse(one)}\n" for one in part.before)
    return (
        f"def loss_fn(model, batch):  # {script}:{part.line}\n"
        "    inputs, targets = batch\n"
        f"{before}    return {ast.unparse(part.value)}(model(inputs), targets)"
    )


def _function(signature: str, part: Part | None, script: str, what: str) -> str:
    if part is None:
        return f"def {signature}:\n{_to_do(f'return {what}: {script} does not say how')}"
    head = f"def {signature}:  # {script}:{part.line}"
    before = [ast.unparse(one) for one in part.before]
    body = textwrap.indent("\n".join([*before, f"return {ast.unparse(part.value)}"]), "    ")
    if part.unknown:
        names = ", ".join(sorted(part.unknown))
        return f"{head}\n{_to_do(f'say what {names} is, and return:')}\n{_commented(body)}"
    return f"{head}\n{body}"


def _to_do(text: str) -> str:
    return f"    raise NotImplementedError({text!r})"


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" if line else "#" for line in text.splitlines())


def _names(value: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(value) if isinstance(one, ast.Name)}

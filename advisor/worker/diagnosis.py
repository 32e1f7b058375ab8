"""Explains an exception out of the user's code: where, what, why most likely, and the fix."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path

from advisor.domain.measurements import Fault, FaultCode

_WORKER_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\S+)')
_MAX_MESSAGE = 600


def explain(error: BaseException, hook: str, source_dir: Path, entry_path: str) -> Fault:
    """Return the fault that an exception out of user code amounts to.

    Args:
        error: The exception, with its traceback.
        hook: Name in the model file that was being run.
        source_dir: The user's bundle; frames outside it are left out.
        entry_path: The model file, named when no frame lies in the bundle.
    """
    frames = _user_frames(error, source_dir)
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (entry_path, None)
    return Fault(
        code=FaultCode.USER_EXCEPTION,
        message=_message(error),
        hook=hook,
        file=file,
        line=line,
        fix=likely_fix(error),
        traceback="".join(traceback.format_list(frames)) or None,
    )


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"The code called sys.exit({error.code!r})."
    if isinstance(error, KeyboardInterrupt):
        return "The code raised KeyboardInterrupt."
    text = str(error).strip()
    if text.startswith("Caught ") and "Original Traceback" in text:
        # A data loader's process sends its traceback as text; the last line is the error.
        text = text.rsplit("\n", maxsplit=1)[-1].strip()
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + " …"


def _user_frames(error: BaseException, source_dir: Path) -> list[traceback.FrameSummary]:
    """Return the frames that lie in the user's bundle, outermost first, paths relative to it."""
    frames = traceback.extract_tb(error.__traceback__)
    found = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in frames]
    if isinstance(error, SyntaxError) and error.filename:
        found.append((error.filename, error.lineno, "<module>", error.text))
    found += [
        (match["file"], int(match["line"]), match["name"], None)
        for match in _WORKER_FRAME.finditer(str(error))
    ]
    root = source_dir.resolve()
    summaries = []
    for filename, lineno, name, text in found:
        path = Path(filename)
        path = (path if path.is_absolute() else root / path).resolve()
        if path.is_relative_to(root) and "site-packages" not in path.parts and path.is_file():
            line = (text or _line_of(path, lineno)).strip()
            relative = path.relative_to(root).as_posix()
            summaries.append(traceback.FrameSummary(relative, lineno, name, line=line))
    return summaries


def _line_of(path: Path, lineno: int | None) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[lineno - 1] if lineno and lineno <= len(lines) else ""


def likely_fix(error: BaseException) -> str | None:
    """Return what to do about an exception; None when nothing is known of its kind."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return (
            f"Install it where the daemon runs (`pip install {package}`), or, if it is a module "
            "of your own, keep it beside the model file so that it is uploaded too."
        )
    if isinstance(error, FileNotFoundError):
        return (
            "The file runs from an uploaded copy: add `--include PATH` to upload the data too, "
            "or give an absolute path that exists where the daemon runs."
        )
    if isinstance(error, SystemExit):
        return "Keep what parses arguments or exits under `if __name__ == '__main__':`."
    text = f"{type(error).__name__}: {error}"
    for pattern, fix in _FIXES:
        match = re.search(pattern, text)
        if match:
            return fix if isinstance(fix, str) else fix(match)
    return None


def _label_fix(match: re.Match[str]) -> str:
    label = f" (found {match['label']})" if match.groupdict().get("label") else ""
    return (
        f"A label lies outside the model's classes{label}: labels must run from 0 to the number "
        "of outputs less one; check the last layer's width."
    )


_FIXES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"Target (?P<label>-?\d+) is out of bounds", _label_fix),
    (r"nll_loss.*Assertion|Assertion `?t >= 0 && t < n_classes", _label_fix),
    (
        r"IndexError: index out of range in self|Assertion `?srcIndex < srcSelectDimSize",
        "An index given to an embedding is not below its `num_embeddings`; check the vocabulary.",
    ),
    (
        r"stack expects each tensor to be equal size|each element in list of batch should be of "
        r"equal size|Trying to resize storage that is not resizable",
        "The samples are not all of one size: define `collate_fn(samples)` that pads them, for "
        "example with `torch.nn.utils.rnn.pad_sequence`.",
    ),
    (
        r"default_collate: batch must contain",
        "Return tensors, numbers, or dictionaries and tuples of them from the data set, or define "
        "`collate_fn(samples)`.",
    ),
    (
        r"mat1 and mat2 shapes cannot be multiplied|size mismatch|must match the size of tensor"
        r"|weight of size .* expected input|expected input.* to have \d+ channels"
        r"|Given groups=|shape '.*' is invalid for input",
        "The batch and the model's layers do not fit together: compare the shapes in the message "
        "with what the data set returns.",
    ),
    (
        r"(mat1 and mat2|expected .* dtype|expected scalar type|same dtype|data types? (of|mismatch))",
        "Convert the inputs to the model's dtype, for example `x.float()`, in the data set.",
    ),
    (
        r"[Ee]xpected all tensors to be on the same device|should be the same.*(cpu|cuda)"
        r"|found at least two devices",
        "Do not name a device in the file: take it from the batch or from a parameter "
        "(`x.device`), and register constant tensors with `register_buffer`.",
    ),
    (
        r"Torch not compiled with CUDA enabled|No CUDA GPUs are available|Found no NVIDIA driver",
        "Leave `.cuda()` and device names out: the model and the batches are moved for you.",
    ),
    (
        r"Expected more than 1 value per channel when training",
        "A batch normalisation layer cannot train on one sample; the smallest batch is 2.",
    ),
    (
        r"modified by an inplace operation",
        "A tensor needed for the gradient is changed in place; use the out-of-place form.",
    ),
    (
        r"step\(\) missing 1 required positional argument: 'closure'",
        "Optimizers that need a closure, such as LBFGS, are not supported.",
    ),
    (r"optimizer got an empty parameter list", "Pass `params` on to the optimizer as it comes."),
    (
        r"optimizer can only optimize Tensors|optimizer got",
        "`params` is a list of tensors: give it to the optimizer as it is.",
    ),
    (
        r"shared memory|bus error",
        "The loader's processes ran out of shared memory: lower NUM_WORKERS or raise /dev/shm.",
    ),
    (
        r"object has no attribute 'size'|'NoneType' object",
        "Define `loss_fn(model, batch)` if the default does not suit the model's output.",
    ),
)

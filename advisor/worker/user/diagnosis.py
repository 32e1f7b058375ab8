"""Explains an exception out of the user's code: where it was raised, and what."""

from __future__ import annotations

import re
from pathlib import Path
from traceback import FrameSummary, extract_tb, format_exception, format_list

from bsadvise.model.measurements import Fault, FaultCode

from advisor.worker.user.fixes import likely_fix, likely_line
from advisor.worker.user.ownership import path_in_bundle

_WORKER_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\S+)')
_MAX_MESSAGE = 600


def explain(error: BaseException, hook: str | None, source_dir: Path, entry_path: str) -> Fault:
    """Return the fault that an exception out of user code amounts to.

    Args:
        error: The exception, with its traceback.
        hook: Name in the model file that was being run; None where that is not known.
        source_dir: The user's bundle; frames outside it are left out.
        entry_path: The model file, named when no frame lies in the bundle.
    """
    frames = _user_frames(error, source_dir)
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (entry_path, None)
    if line is None:
        line = likely_line(error, source_dir / entry_path)
    return Fault(
        code=FaultCode.USER_EXCEPTION,
        message=_message(error),
        hook=hook,
        file=file,
        line=line,
        fix=likely_fix(error),
        traceback="".join(format_list(frames)) or None,
    )


def own_fault(error: BaseException) -> Fault:
    """Return the fault that an exception out of our own code is."""
    return Fault(
        code=FaultCode.WORKER,
        message=f"bsadvise itself failed (please report it): {type(error).__name__}: {error}",
        traceback="".join(format_exception(error)),
    )


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"The code called sys.exit({error.code!r})."
    if isinstance(error, KeyboardInterrupt):
        return "The code raised KeyboardInterrupt."
    text = str(error).strip()
    if _comes_from_loader_process(text):
        # Such a process sends its traceback as text; the last line is the error.
        text = text.rsplit("\n", maxsplit=1)[-1].strip()
    else:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _MAX_MESSAGE else text[:_MAX_MESSAGE] + " …"


def _comes_from_loader_process(text: str) -> bool:
    return text.startswith("Caught ") and "Original Traceback" in text


def _user_frames(error: BaseException, source_dir: Path) -> list[FrameSummary]:
    """Return the frames that lie in the user's bundle, outermost first, paths relative to it."""
    found = [
        (frame.filename, frame.lineno, frame.name) for frame in extract_tb(error.__traceback__)
    ]
    if isinstance(error, SyntaxError) and error.filename:
        found.append((error.filename, error.lineno, "<module>"))
    if _comes_from_loader_process(str(error)):
        found += [
            (match["file"], int(match["line"]), match["name"])
            for match in _WORKER_FRAME.finditer(str(error))
        ]
    root = source_dir.resolve()
    frames = []
    for filename, line_number, name in found:
        path = path_in_bundle(filename, root)
        if path is not None:
            line = _line_of(root / path, line_number)
            frames.append(FrameSummary(path.as_posix(), line_number, name, line=line))
    return frames


def _line_of(path: Path, line_number: int | None) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[line_number - 1].strip() if line_number and line_number <= len(lines) else ""

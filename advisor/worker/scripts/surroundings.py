"""What a script finds around it: a copy of its files, its arguments, an environment."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bsadvise.model.observation import OBSERVED_VARIABLE

from advisor.worker.user.model_file import forget_modules

_SET: Mapping[str, str] = {
    # Nothing is recorded or sent anywhere: the runs here are not the user's.
    "CLEARML_OFFLINE_MODE": "1",
    "COMET_MODE": "disabled",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_TRACKING_URI": "file:mlruns",
    "NEPTUNE_MODE": "debug",
    "WANDB_MODE": "disabled",
    OBSERVED_VARIABLE: "1",
    # There is nobody to look at it.
    "MPLBACKEND": "Agg",
    "NO_COLOR": "1",
    "PLOTLY_RENDERER": "json",
    "TERM": "dumb",
}
_OFFLINE: Mapping[str, str] = {
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
}
"""Where the network is closed, libraries say so at once in place of trying it again and again."""

_UNSET = (
    "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NODE_RANK",
    "RANK", "ROLE_RANK", "WORLD_SIZE",
)  # fmt: skip
_UNSET_PREFIXES = ("ACCELERATE_", "FSDP_", "OMPI_", "PMI_", "SLURM_", "TORCHELASTIC_")
"""Set by launchers of several processes: a script that finds them waits for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A part of a line that is to be another text in the copy.

    Attributes:
        file: Path in the bundle, with forward slashes.
        line: From 1.
        begin: Bytes of the line before the part.
        end: Bytes of the line before what follows it.
        text: What to put there.
    """

    file: str
    line: int
    begin: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script, and how its user starts it.

    Attributes:
        source_dir: The bundle that it lies in. It is copied and left as it is.
        entry_path: The script inside it, with forward slashes.
        arguments: Its command line, without its name.
        has_network: Whether connections may be opened.
        changes: What to write in other words in the copy; no two of them overlap.
        model_class: Class of the LightningModule to train, where it trains nothing itself; empty
            for the only one.
        data_paths: Absolute paths of what lies beside it and was not sent, by paths relative to
            the bundle.
    """

    source_dir: Path
    entry_path: str
    arguments: tuple[str, ...] = ()
    has_network: bool = False
    changes: tuple[Change, ...] = ()
    model_class: str = ""
    data_paths: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def surroundings(script: Script) -> Iterator[Path]:
    """Give this process what a script finds around it, and yield the copy of its files.

    The copy is the working directory, and all that the script writes by relative paths, or beside
    itself, goes with it. Leaving restores the process, so that one script can be run after
    another, each in a copy of its own.
    """
    before = (Path.cwd(), list(sys.argv), list(sys.path))
    main = sys.modules["__main__"]
    with (
        tempfile.TemporaryDirectory(prefix="script-", ignore_cleanup_errors=True) as directory,
        environment_of(script),
    ):
        # Resolved, as Python resolves what it is started with on its way to `__file__`.
        copy = Path(directory).resolve() / "files"
        shutil.copytree(script.source_dir, copy, symlinks=True, copy_function=shutil.copyfile)
        for name, path in script.data_paths.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            _link(Path(path), Path(os.path.normpath(copy / name)))
        # From the end of a line to its beginning: each moves what follows it.
        for change in sorted(script.changes, key=lambda change: -change.begin):
            _carry_out(change, copy)
        entry = copy / script.entry_path
        try:
            os.chdir(copy)
            sys.argv[:] = [script.entry_path, *script.arguments]
            # The script's own folder first, as Python puts it; the root of its imports, which is
            # another where the script lies in a package, after it.
            for folder in dict.fromkeys((str(copy), str(entry.parent))):
                sys.path.insert(0, folder)
            yield copy
        finally:
            if not sys.is_finalizing():  # Else it was left in the middle, and nothing comes after.
                working_dir, sys.argv[:], sys.path[:] = before
                os.chdir(working_dir)
                sys.modules["__main__"] = main
                forget_modules(copy)


def _link(path: Path, link: Path) -> None:
    """Let a path lead to data; what was sent of a folder stays, since it may be changed here."""
    if not link.exists():
        link.symlink_to(path)
    elif link.is_dir() and not link.is_symlink() and path.is_dir():
        for child in path.iterdir():
            _link(child, link / child.name)


def _carry_out(change: Change, copy: Path) -> None:
    path = copy / change.file
    lines = path.read_bytes().splitlines(keepends=True)
    line = lines[change.line - 1]
    lines[change.line - 1] = line[: change.begin] + change.text.encode() + line[change.end :]
    path.write_bytes(b"".join(lines))


@contextmanager
def environment_of(script: Script) -> Iterator[None]:
    """Set the variables that a script finds; put back what there was on leaving."""
    before = dict(os.environ)
    for name in before:
        if name in _UNSET or name.startswith(_UNSET_PREFIXES):
            del os.environ[name]
    os.environ.update(_SET if script.has_network else {**_SET, **_OFFLINE})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

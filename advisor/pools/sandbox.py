"""The degrees of the sandbox: which there are, which works here, and what bubblewrap is told.

off        user code reaches all that the daemon's user can reach
landlock   each worker gives up what it does not need (advisor.worker.process.sandbox)
bwrap      the fork server runs where there is nothing else to see, network and sockets
included; its workers give up the rest where the kernel has Landlock
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from advisor.kernel.landlock import landlock_abi
from advisor.pools.resource_limits import Reach

OFF, LANDLOCK, BWRAP, AUTO = "off", "landlock", "bwrap", "auto"

_TRIAL_LIMIT_S = 10.0

_COVERED = tuple(
    Path("/") / name for name in ("home", "root", "run", "tmp", "var/tmp", "srv", "mnt", "media")
)
"""Where other people's files are, unless something is named."""

_OUR_ROOTS = {Path(entry).resolve() for entry in sys.path if entry}


class SandboxMissing(Exception):
    """The sandbox that was asked for does not work on this machine; says why."""


def choose_sandbox(wanted: str) -> str:
    """Return the degree that is wanted, or for "auto" the strongest that works here.

    Raises:
        SandboxMissing: It does not work here.
    """
    if wanted == BWRAP and not _works():
        raise SandboxMissing("sandbox bwrap: bubblewrap is not installed, or may not be used here")
    if wanted == LANDLOCK and not landlock_abi():
        raise SandboxMissing("sandbox landlock: this kernel has no Landlock, or it is turned off")
    if wanted != AUTO:
        return wanted
    if _works():
        return BWRAP
    return LANDLOCK if landlock_abi() else OFF


def bwrap_command(
    command: Sequence[str], reach: Reach, *, modules_dir: Path, scratch_root: Path
) -> list[str]:
    """Return a fork server's command, wrapped so that it finds itself shut in.

    Args:
        command: How to start it.
        reach: What is to be left of the machine.
        modules_dir: Our modules, where the interpreter is not our own.
        scratch_root: Where its workers' scratch directories are to be made.
    """
    arguments = ["--die-with-parent", "--new-session", "--ro-bind", "/", "/"]
    arguments += ["--dev-bind", "/dev", "/dev"]
    if not reach.allow_network:
        arguments.append("--unshare-net")
    # Later ones lie above earlier ones: what is named is bare again, but for what it hides.
    covered = [] if Path("/") in reach.readable_paths else _COVERED
    named = {*_python_roots(command), modules_dir, *reach.readable_paths} - {Path("/")}
    arguments += _cover((*covered, *reach.hidden_paths))
    arguments += _bind("--ro-bind", named)
    arguments += _cover(
        path for path in reach.hidden_paths if any(path.is_relative_to(name) for name in named)
    )
    arguments += _bind("--ro-bind", reach.source_roots)
    arguments += _bind("--bind", (*reach.writable_roots, scratch_root))
    return ["bwrap", *arguments, "--setenv", "TMPDIR", str(scratch_root), "--", *command]


def _works() -> bool:
    """Return whether bubblewrap may make its namespaces; many containers forbid that."""
    if shutil.which("bwrap") is None:
        return False
    trial = ["bwrap", "--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--unshare-net", "true"]
    try:
        return not subprocess.run(
            trial, capture_output=True, timeout=_TRIAL_LIMIT_S, check=False
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def _cover(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        if path.is_dir():
            yield from ("--tmpfs", str(path.resolve()))
        elif path.exists():
            yield from ("--ro-bind", "/dev/null", str(path.resolve()))


def _bind(kind: str, paths: Iterable[Path]) -> Iterator[str]:
    # Those above first: they would cover those below.
    for path in sorted({path.resolve() for path in paths if path.exists()}):
        yield from (kind, str(path), str(path))


def _python_roots(command: Sequence[str]) -> Iterator[Path]:
    """Yield where the fork server's interpreter finds itself and its modules."""
    for prefix in (sys.prefix, sys.base_prefix):
        yield Path(prefix)
    yield from _OUR_ROOTS
    interpreter = Path(command[0])
    for path in (interpreter, interpreter.resolve()):
        yield path.parent.parent
    yield from (Path(part).parent for part in command[1:] if part.startswith("/"))

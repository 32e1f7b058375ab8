"""The degrees of the sandbox: which there are, which works here, and what bubblewrap is told.

off         user code reaches all that the daemon's user can reach
landlock    each worker gives up what it does not need (advisor.worker.process.sandbox)
bwrap       the fork server runs where there is nothing else to see, network and sockets
included; its workers give up the rest where the kernel has Landlock
namespaces  each worker has processes, files, shared memory and a network of its own, and of root's
each is a user of its own; it gives up the rest as under landlock
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from advisor.kernel.landlock import landlock_abi
from advisor.pools.resource_limits import Reach
from advisor.pools.sandbox_degrees import AUTO, BWRAP, LANDLOCK, NAMESPACES, OFF, WEAK

_TRIAL_LIMIT_S = 10.0

_BWRAP_BASE = ("--ro-bind", "/", "/", "--dev-bind", "/dev", "/dev", "--unshare-ipc")

_COVERED = tuple(
    Path("/") / name
    for name in (
        "home", "root", "run", "tmp", "var", "srv", "mnt", "media", "opt", "data", "scratch",
    )
)  # fmt: skip
"""Where other people's files are, unless something is named."""

_OUR_ROOTS = {Path(entry).resolve() for entry in sys.path if entry}


_MISSING = {
    LANDLOCK: "this kernel has no Landlock, or it is turned off",
    BWRAP: "bubblewrap is not installed, or may not be used here",
    NAMESPACES: "this user may not make user namespaces here, or mount in them",
}

# -P: what lies in the daemon's working directory must not pass for a module.
_IN_NAMESPACE = (sys.executable, "-P", "-m", "advisor.kernel.user_namespace")

_TRIAL = (sys.executable, "-P", "-m", "advisor.worker.process.namespace_trial")


class SandboxMissing(Exception):
    """The sandbox that was asked for does not work on this machine; says why."""


def choose_sandbox(wanted: str) -> str:
    """Return the degree that is wanted, or for "auto" the strongest that works here.

    Raises:
        SandboxMissing: It does not work here.
    """
    works = {
        OFF: lambda: True,
        LANDLOCK: lambda: landlock_abi() > 0,
        BWRAP: _bwrap_works,
        NAMESPACES: _namespaces_work,
    }
    if wanted == AUTO:
        return next(degree for degree in (NAMESPACES, BWRAP, LANDLOCK, OFF) if works[degree]())
    if not works[wanted]():
        raise SandboxMissing(f"sandbox {wanted}: {_MISSING[wanted]}")
    return wanted


def check_exposure(sandbox: str, *, is_exposed: bool, accepts_weak: bool) -> None:
    """Refuse a weak degree to a daemon that runs the code of whoever reaches it from afar.

    Args:
        sandbox: The degree.
        is_exposed: Whether the daemon listens beyond loopback.
        accepts_weak: Whether the operator has accepted this.

    Raises:
        SandboxMissing: The degree is too weak.
    """
    if sandbox in WEAK and is_exposed and not accepts_weak:
        raise SandboxMissing(
            f"sandbox {sandbox}: too weak for a daemon that listens beyond loopback. Allow its "
            "user to make user namespaces (docs/sandbox.md), or start it with "
            "--accept-weak-sandbox"
        )


def namespaces_command(command: Sequence[str], reach: Reach) -> list[str]:
    """Return a fork server's command, so that it can make namespaces for its workers."""
    network = "open-network" if reach.allow_network else "own-network"
    return [*_IN_NAMESPACE, *command, f"--namespaces={network}"]


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
    arguments = ["--die-with-parent", "--new-session", *_BWRAP_BASE]
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


def _bwrap_works() -> bool:
    """Return whether bubblewrap may make its namespaces; many containers forbid that."""
    return shutil.which("bwrap") is not None and _succeeds(["bwrap", *_BWRAP_BASE, "true"])


def _namespaces_work() -> bool:
    """Return whether a process may make all that a worker's namespaces need."""
    return _succeeds([*_IN_NAMESPACE, *_TRIAL])


def _succeeds(trial: Sequence[str]) -> bool:
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

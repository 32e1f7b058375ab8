"""``bsadvise doctor``: is everything here that is needed, and if not, what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import click
from rich.table import Table
from rich.text import Text

from bsadvise.cli.connecting import config_flags, open_client
from bsadvise.cli.options import address_option, no_color_option
from bsadvise.cli.render.output import print_view
from bsadvise.configuration import CONFIG_NAME
from bsadvise.model.device import Device, DeviceKind
from bsadvise.model.errors import (
    BsadviseError,
    DaemonFailed,
    DaemonUnreachable,
    NotAuthenticated,
    ServerMissing,
)
from bsadvise.transport.launcher import (
    default_socket,
    is_serving,
    missing_server_packages,
)
from bsadvise.transport.state import state_place
from bsadvise.version import __version__

_CHECK_LIMIT_S = 60.0
_NO_FOLDER_FIX = "set HOME, or XDG_CACHE_HOME and XDG_STATE_HOME, to folders of yours"
_SANDBOX, _HOLDS = "sandbox that works here: ", "sandbox holds "


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


_STYLES = {Verdict.OK: "green", Verdict.NOTE: "yellow", Verdict.WRONG: "bold red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One check, what it found, and what to do about it; nothing where all is well."""

    title: str
    verdict: Verdict
    finding: str
    fix: str = ""

    def __post_init__(self) -> None:
        if self.verdict is Verdict.WRONG and not self.fix:
            raise ValueError(f"{self.title}: what is wrong has no fix")


@click.command()
@no_color_option
@address_option
def doctor(address: str | None) -> None:
    """Check this installation and the daemon, and say what to do; exit code 1 if one is wrong."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    checks = list(_run_checks(address))
    for check in checks:
        table.add_row(
            check.title, Text(check.verdict, style=_STYLES[check.verdict]), Text(check.finding)
        )
        if check.fix:
            table.add_row("", "", Text.assemble(("fix: ", "bold"), check.fix))
    print_view(table)
    if any(check.verdict is Verdict.WRONG for check in checks):
        raise SystemExit(1)


def _run_checks(address: str | None) -> Iterator[Check]:
    yield Check("python", Verdict.OK, f"{platform.python_version()} at {sys.executable}")
    yield Check("bsadvise", Verdict.OK, __version__)
    yield _check_server(is_needed=address is None)
    yield _check_torch()
    if not missing_server_packages():
        yield from _check_sandbox()
    yield _check_socket()
    yield _check_cache()
    yield from _check_daemon(address)


def _check_server(*, is_needed: bool) -> Check:
    missing = missing_server_packages()
    if not missing:
        return Check("server extra", Verdict.OK, "installed: daemons can be started here")
    return Check(
        "server extra",
        Verdict.WRONG if is_needed else Verdict.NOTE,
        f"without {', '.join(missing)} no daemon can be started here",
        "pip install 'bsadvise[server]'" + (", or name a daemon with --address" * is_needed),
    )


def _check_torch() -> Check:
    # Its version alone: importing it takes seconds and may start CUDA.
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return Check("torch", Verdict.NOTE, "not installed here; daemons elsewhere have their own")
    build = version.partition("+")[2]
    kind = {"": "CUDA build of its release", "cpu": "CPU build"}.get(build, f"build {build}")
    return Check("torch", Verdict.OK, f"{version} ({kind})")


def _check_sandbox() -> Iterator[Check]:
    # The daemon's own words: what works depends on the kernel and on its settings.
    try:
        checked = subprocess.run(
            [sys.executable, "-P", "-m", "advisor", "--check", *config_flags()],
            capture_output=True, text=True, check=False, timeout=_CHECK_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield Check(
            "sandbox", Verdict.WRONG, f"a daemon's own check took over {_CHECK_LIMIT_S:.0f} s",
            "see where it waits: bsadvise serve --check",
        )  # fmt: skip
        return
    lines = checked.stderr.strip().splitlines() or ["a daemon's own check failed without a word"]
    if checked.returncode != 0:  # whatever it is: no daemon starts with these settings
        yield Check(
            "sandbox", Verdict.WRONG, lines[-1],
            f"no daemon starts so; mend what is named, in {CONFIG_NAME} or a BSADVISE_* variable, "
            "until this succeeds: bsadvise serve --check",
        )  # fmt: skip
        return
    kind = next(line for line in lines if line.startswith(_SANDBOX)).removeprefix(_SANDBOX)
    if kind == "off":
        yield Check(
            "sandbox", Verdict.NOTE, "off: model files reach all that their daemon can",
            "docs/sandbox.md says what a kernel or a container must allow",
        )  # fmt: skip
    else:
        yield Check("sandbox", Verdict.OK, f"{kind} confines model files")
    for line in lines:
        if line.startswith(_HOLDS):
            yield Check("", Verdict.NOTE, line.removeprefix(_HOLDS))


def _check_socket() -> Check:
    try:
        socket = default_socket()
    except DaemonFailed as error:
        return Check("default socket", Verdict.WRONG, str(error), _NO_FOLDER_FIX)
    if not socket.exists():
        return Check(
            "default socket",
            Verdict.NOTE,
            f"nobody listens on {socket}; each command starts a daemon of its own",
        )
    if is_serving(f"unix:{socket}"):
        return Check("default socket", Verdict.OK, f"a daemon answers on {socket}")
    return Check(
        "default socket",
        Verdict.WRONG,
        f"{socket} is there, but nobody answers on it",
        f"bsadvise serve takes it over; or remove it: rm {shlex.quote(str(socket))}",
    )


def _check_cache() -> Check:
    try:
        place = state_place()
    except DaemonFailed as error:
        return Check("cache", Verdict.WRONG, str(error), _NO_FOLDER_FIX)
    folder = place.path
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        if place.reason is not None:
            return Check("cache", Verdict.NOTE, f"{folder}, since {place.reason}")
        return Check("cache", Verdict.OK, str(folder))
    return Check(
        "cache",
        Verdict.WRONG,
        f"{folder} cannot be written",
        f"make {existing} a folder that you may write, or name another with XDG_CACHE_HOME",
    )


def _check_daemon(address: str | None) -> Iterator[Check]:
    try:
        with open_client(address) as client:
            devices = client.devices()
    except BsadviseError as error:
        yield Check("daemon", Verdict.WRONG, str(error), _daemon_fix(error))
        return
    yield Check("daemon", Verdict.OK, "answers" if address else "answers, or starts when needed")
    yield _check_driver(devices)


def _daemon_fix(error: BsadviseError) -> str:
    match error:
        case NotAuthenticated():
            return "set BSADVISE_TOKEN, or name a file with --token-file"
        case ServerMissing():
            return "pip install 'bsadvise[server]', or name a daemon with --address"
        case DaemonFailed():
            return "mend what its log names; then: bsadvise doctor"
        case DaemonUnreachable():
            return "start one there with bsadvise serve, or correct --address or BSADVISE_ADDRESS"
    return "correct what the message names; then: bsadvise doctor"


def _check_driver(devices: tuple[Device, ...]) -> Check:
    cards = [device for device in devices if device.kind is not DeviceKind.CPU]
    if not cards:
        return Check(
            "gpu driver", Verdict.NOTE, "the daemon sees no GPU; the CPU is the device",
            "if it has one: nvidia-smi must list it where the daemon runs",
        )  # fmt: skip
    names = ", ".join(card.name for card in cards)
    return Check("gpu driver", Verdict.OK, f"{cards[0].driver_version or 'unknown'}: {names}")

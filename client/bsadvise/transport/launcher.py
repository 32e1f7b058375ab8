"""Finds a daemon to talk to, or starts a private one and ends it after.

With no address given, a daemon that answers on the default socket is used. Otherwise one is
started on a socket of its own, with an embedded store. It lives as long as the pipe to its
standard input: it cannot outlive this process, however this process ends.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc

from bsadvise.model.errors import BsadviseError, DaemonError, DaemonFailed, ServerMissing
from bsadvise.transport.channel import channel_options
from bsadvise.transport.credentials import Credentials, Target, socket_metadata, target_of
from bsadvise.transport.state import open_log, own_folder, state_place
from bsadvise.transport.status import error_of_rpc
from bsadvise.transport.tracing import trace_metadata

START_LIMIT_S = 60.0
_PROBE_S = 0.5
_STOP_LIMIT_S = 10.0
_LOG_TAIL_CHARS = 2000
_LONGEST_SOCKET_PATH = 100  # Linux allows 107 bytes
_SERVER_PACKAGES = ("advisor", "alembic", "optuna", "sqlalchemy", "torch")
_HEALTH_METHOD = "/grpc.health.v1.Health/Check"
# Empty HealthCheckRequest, and HealthCheckResponse{status: SERVING}: so small that the base
# install does without their package.
_HEALTH_REQUEST = b""
_SERVING = b"\x08\x01"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the daemon is, and the private daemon if it is one."""

    target: Target
    daemon: PrivateDaemon | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call carries: the caller's credentials, and which trace the call belongs to."""
        target = self.target
        return (*target.metadata, *socket_metadata(target.address), *trace_metadata())

    def error_of(self, error: grpc.RpcError) -> BsadviseError:
        """Return what a failed call means; the death of a private daemon explains all."""
        dead = self.daemon.error_if_dead() if self.daemon is not None else None
        return dead or error_of_rpc(error, self.target.address)

    def explain(self, error: DaemonError) -> None:
        """Have an error name the log that says more, where the daemon is a private one."""
        if self.daemon is not None:
            error.log_path = self.daemon.log_path

    def close(self, *, wait: bool = True) -> None:
        """End the private daemon, if there is one; see ``PrivateDaemon.close``."""
        if self.daemon is not None:
            self.daemon.close(wait=wait)


def connect(
    address: str | None = None,
    credentials: Credentials | None = None,
    config_path: Path | None = None,
) -> Connection:
    """Return a connection to a daemon, started if need be.

    Args:
        address: A gRPC target or the path of a unix socket; None for ``BSADVISE_ADDRESS``, else
            the default socket, else a private daemon.
        credentials: What to show to a daemon elsewhere; None for what the environment says.
        config_path: What a private daemon reads its settings in; None for where daemons look.

    Raises:
        AddressUnusable: The address is not safe to use, or credentials cannot be read.
        ServerMissing: A daemon was to be started, but the [server] extra is not installed.
        DaemonFailed: The private daemon did not start.
    """
    address = address or os.environ.get("BSADVISE_ADDRESS")
    if address:
        return Connection(target_of(address, credentials or Credentials.from_environment()))
    default = default_socket()
    if default.exists() and is_serving(f"unix:{default}"):
        return Connection(Target(f"unix:{default}"))
    check_server_installed()
    daemon = PrivateDaemon(config_path=config_path)
    return Connection(Target(daemon.address), daemon)


def default_socket() -> Path:
    """Return where a user's own daemon listens unless it is told otherwise."""
    runtime_dir = os.environ.get("XDG_RUNTIME_DIR", "")
    # The XDG specification has relative paths ignored.
    if runtime_dir.startswith("/"):
        folder = Path(runtime_dir)
    else:
        folder = own_folder("XDG_STATE_HOME", ".local/state")
    return folder / "bsadvise" / "bsadvise.sock"


def missing_server_packages() -> tuple[str, ...]:
    """Return those packages of the [server] extra that are not installed."""
    return tuple(name for name in _SERVER_PACKAGES if importlib.util.find_spec(name) is None)


def check_server_installed() -> None:
    """Raise ServerMissing unless a daemon can be started here."""
    missing = missing_server_packages()
    if missing:
        raise ServerMissing(
            f"no daemon is running, and none can be started here: {', '.join(missing)} "
            "missing. Install it with: pip install 'bsadvise[server]' - or name a daemon "
            "elsewhere with --address or BSADVISE_ADDRESS."
        )


def is_serving(address: str, limit_s: float = _PROBE_S) -> bool:
    """Return whether a daemon at an address says that it is healthy."""
    with grpc.insecure_channel(address, options=channel_options(address)) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_HEALTH_METHOD)
        try:
            reply = check(_HEALTH_REQUEST, timeout=limit_s, wait_for_ready=True)
        except grpc.RpcError:
            return False
        return reply == _SERVING


class PrivateDaemon:
    """A daemon that serves this process alone and ends with it."""

    def __init__(
        self, command: Sequence[str] | None = None, *, config_path: Path | None = None
    ) -> None:
        """Start it and wait until it answers.

        Args:
            command: How to start a daemon, up to the options that all daemons take.
            config_path: What it reads its settings in; None for where daemons look.

        Raises:
            DaemonFailed: It ended, did not answer in time, or has no place for what it keeps.
        """
        state_dir = state_place().path
        self.log_path, self._log = open_log(state_dir)
        self._folder = _make_socket_folder()
        socket = self._folder / "bsadvise.sock"
        self.address = f"unix:{socket}"
        # -P: the user's folder, whose modules may have any name, is not a place to import from.
        command = command or (sys.executable, "-P", "-m", "advisor")
        try:
            self._process = _start(
                [
                    *(*command, "--private", "--until-stdin-closes"),
                    *("--socket", str(socket), "--state-dir", str(state_dir)),
                    *(("--config", str(config_path)) if config_path else ()),
                ],
                self._log,
            )
        except OSError as error:
            self._log.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise DaemonFailed(
                f"a private daemon could not be started: {command[0]}: {error.strerror}"
            ) from error
        self._end = weakref.finalize(self, _end, self._process, self._folder, self._log)
        try:
            self._wait_until_serving()
        except BaseException:
            self.close()
            raise

    def close(self, *, wait: bool = True) -> None:
        """End it and remove its socket. May be called twice.

        Args:
            wait: Whether to see it end; without that it ends a moment later by itself.
        """
        if not wait and self._end.detach():
            _let_go(self._process, self._folder, self._log)
        self._end()

    def error_if_dead(self) -> DaemonFailed | None:
        """Return why it died, or None while it lives."""
        if self._process.poll() is None:
            return None
        return self._failure(f"the daemon ended with code {self._process.returncode}")

    def _wait_until_serving(self) -> None:
        for _ in range(round(START_LIMIT_S / _PROBE_S)):
            if is_serving(self.address):
                return
            error = self.error_if_dead()
            if error is not None:
                raise error
        raise self._failure(f"the daemon did not answer within {START_LIMIT_S:.0f} s")

    def _failure(self, what: str) -> DaemonFailed:
        self._log.seek(0)
        written = self._log.read().decode(errors="replace")
        tail = written[-_LOG_TAIL_CHARS:].strip()
        last = f" It last wrote:\n{tail}\nAll of it:" if tail else " Its log:"
        return DaemonFailed(f"{what}.{last} {self.log_path}")


def _make_socket_folder() -> Path:
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()):
        if parent and len(parent) < _LONGEST_SOCKET_PATH - 40 and os.access(parent, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="bsadvise-", dir=parent))
    return Path(tempfile.mkdtemp(prefix="bsadvise-", dir="/tmp"))


def _start(command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=log,
        # The user's code runs below it, and has no business with the token.
        env={name: value for name, value in os.environ.items() if name != "BSADVISE_TOKEN"},
        start_new_session=True,  # Ctrl-C is for us to handle, not for the daemon
    )


def _end(process: subprocess.Popen[bytes], folder: Path, log: IO[bytes]) -> None:
    _let_go(process, folder, log)
    for harder in (process.terminate, process.kill, None):
        try:
            process.wait(timeout=_STOP_LIMIT_S)
            break
        except subprocess.TimeoutExpired:
            if harder is not None:
                harder()


def _let_go(process: subprocess.Popen[bytes], folder: Path, log: IO[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    log.close()
    shutil.rmtree(folder, ignore_errors=True)

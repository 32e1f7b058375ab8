"""Runs the daemon: ``python -m advisor``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from threading import Timer

import structlog

from advisor.config.loading import load_settings
from advisor.config.logs import configure_logging
from advisor.config.settings import LOG_FORMATS, LOG_LEVELS, SANDBOXES, ConfigError, Settings
from advisor.domain.errors import StoreUnavailable
from advisor.kernel.descriptors import raise_open_file_limit
from advisor.pools.sandbox import SandboxMissing
from advisor.preflight import describe_start, network_warning
from advisor.service.address import AddressRefused
from advisor.service.own_socket import lock_path
from advisor.service.server import check_listen_config
from advisor.service.tls import TlsRefused
from advisor.service.tracing import TracingRefused
from advisor.wiring import build_daemon, listen_config_of

_LOG = structlog.stdlib.get_logger(__name__)

_STDIN = 0

_DRAIN_LIMIT_S = 20.0
"""For putting work back and ending every worker, before the daemon ends all the same."""

_THREADS_LIMIT_S = 2.0
"""For threads that still compute when everything is put back and closed: none has work to lose."""

_REFUSALS = (
    ConfigError,
    AddressRefused,
    TlsRefused,
    TracingRefused,
    SandboxMissing,
    StoreUnavailable,
)
"""Why a daemon does not start; each says what to do."""


def main() -> int:
    """Run the daemon until it is told to stop, and return its exit code."""
    arguments = make_parser().parse_args()
    try:
        settings = load_settings(vars(arguments), os.environ, arguments.config)
        if arguments.check:
            return _say(describe_start(settings), code=0)
        check_listen_config(listen_config_of(settings))
        configure_logging(settings)
        raise_open_file_limit()
        if (warning := network_warning(settings)) is not None:
            _LOG.warning(warning)
        serve = _serve_one_client if arguments.until_stdin_closes else _serve
        asyncio.run(serve(settings))
    except _REFUSALS as error:
        return _say(f"bsadvise: {error}", code=1)
    return 0


async def _serve_one_client(settings: Settings) -> None:
    """Serve until standard input ends, then remove the folder that was made for the socket.

    A client that was killed cannot do that.
    """
    try:
        await _serve(settings, until_stdin_closes=True)
    finally:
        with contextlib.suppress(OSError):  # Others' files are in it, or it is gone.
            lock_path(settings.socket).unlink()
            settings.socket.parent.rmdir()


async def _serve(settings: Settings, *, until_stdin_closes: bool = False) -> None:
    stop = _Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = await build_daemon(settings)
    if until_stdin_closes:
        _watch_stdin(loop, stop)
    ready = f"bsadvise daemon ready on {' '.join(daemon.bound.addresses)}"
    try:
        await daemon.serve(stop, on_ready=ready)
    finally:
        daemon.bound.release()
    _end_after(_THREADS_LIMIT_S, exit_code=0)


class _Stop(asyncio.Event):
    """Is set when the daemon is to stop; from then on its time is limited."""

    def set(self) -> None:
        if not self.is_set():
            _end_after(_DRAIN_LIMIT_S, exit_code=1)
        super().set()


def _end_after(limit_s: float, *, exit_code: int) -> None:
    """End this process after some seconds, should anything hold it until then."""

    def end() -> None:
        _LOG.error("ended though threads still compute", limit_s=limit_s)
        os._exit(exit_code)

    timer = Timer(limit_s, end)
    timer.daemon = True
    timer.start()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # The pipe closes however the client ends, even when it is killed.
    def read() -> None:
        if not os.read(_STDIN, 4096):
            loop.remove_reader(_STDIN)
            stop.set()

    try:
        loop.add_reader(_STDIN, read)
    except OSError:  # A file or /dev/null: nobody holds the other end.
        stop.set()


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the daemon's flags."""
    parser = argparse.ArgumentParser(
        prog="python -m advisor",
        description="The bsadvise daemon. Flags go before BSADVISE_* variables, these before "
        "bsadvise.toml.",
    )
    parser.add_argument("--socket", metavar="PATH", help="unix socket to listen on")
    parser.add_argument("--listen", metavar="HOST:PORT", help="listen there as well")
    parser.add_argument("--tls-cert", metavar="PATH", help="certificate for --listen, PEM")
    parser.add_argument("--tls-key", metavar="PATH", help="its private key, PEM")
    parser.add_argument(
        "--tls-client-ca", metavar="PATH", help="clients must show a certificate of this one's"
    )
    parser.add_argument(
        "--tls-revoked", metavar="PATH", help="those of them that open nothing any more"
    )
    parser.add_argument(
        "--trust-loopback",
        action="store_true",
        default=None,
        help="without TLS, let every process of this machine in with no token",
    )
    parser.add_argument(
        "--reflection", action="store_true", default=None, help="tell clients the contract"
    )
    parser.add_argument("--state-dir", metavar="PATH", help="database, sources and checkpoints")
    parser.add_argument(
        "--private", action="store_true", default=None, help="serve one client, quietly"
    )
    parser.add_argument("--database", metavar="URL", help="share this PostgreSQL with others")
    parser.add_argument("--host-name", metavar="NAME", help="this machine's name among them")
    parser.add_argument("--metrics-listen", metavar="HOST:PORT", help="answer Prometheus here")
    parser.add_argument("--otel-endpoint", metavar="URL", help="send traces there, OTLP over HTTP")
    parser.add_argument("--keep-days", metavar="DAYS", help="remove what ended before")
    parser.add_argument("--keep-count", metavar="N", help="remove all that ended but the last N")
    parser.add_argument("--keep-source-bytes", metavar="N", help="remove old sources beyond")
    parser.add_argument("--sandbox", choices=SANDBOXES, help="what confines model files")
    parser.add_argument(
        "--accept-weak-sandbox",
        action="store_true",
        default=None,
        help="listen beyond loopback even where the sandbox is landlock or off",
    )
    parser.add_argument(
        "--data-path",
        dest="data_paths",
        action="append",
        metavar="PATH",
        help="model files may read this in a sandbox; may be given again",
    )
    parser.add_argument(
        "--allow-network",
        action="store_true",
        default=None,
        help="let model files open connections in a sandbox",
    )
    parser.add_argument(
        "--python",
        dest="pythons",
        action="append",
        metavar="PATH",
        help="requests may name this interpreter; may be given again",
    )
    parser.add_argument("--lease-s", metavar="SECONDS", help="take over a silent daemon after")
    parser.add_argument("--log-format", choices=LOG_FORMATS)
    parser.add_argument("--log-level", choices=LOG_LEVELS)
    parser.add_argument("--config", metavar="PATH", type=Path, help="read this bsadvise.toml")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends"
    )
    parser.add_argument(
        "--check", action="store_true", help="say what a start would meet, and start nothing"
    )
    return parser


def _say(text: str, *, code: int) -> int:
    print(text, file=sys.stderr)  # noqa: T201 - stdout stays empty
    return code


if __name__ == "__main__":
    sys.exit(main())

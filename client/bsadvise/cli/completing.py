"""What a shell offers for a word that is not finished: jobs, devices and tokens as they are now.

A shell waits for it at each press of the tab key. So it asks a daemon that runs, never starts one,
takes a second at most, and offers less where anything goes wrong.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from bsadvise.cli.config import load_defaults
from bsadvise.cli.connecting import open_client
from bsadvise.client import Client
from bsadvise.model.cards import CARD_NAMES
from bsadvise.model.device import DeviceKind
from bsadvise.printable import printable
from bsadvise.transport.launcher import default_socket, is_serving

LIMIT_S = 1.0
_PROBE_S = 0.3
_MOST_JOBS = 50
_MOST_HELP_CHARS = 60
_PLAIN_WORD = re.compile(r"[\w.:-]+", re.ASCII)

Found = Iterable[tuple[str, str]]


def complete_job(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the newest jobs' ids, each with its state and its file."""

    def jobs(client: Client) -> Found:
        for one in client.list(_MOST_JOBS):
            yield one.recommendation_id, f"{one.state} {one.request.source.entry_path}"

    return _items(_asked(ctx, jobs), incomplete)


def complete_device(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the daemon's devices, and the names of cards that are known without being there."""

    def devices(client: Client) -> Found:
        for one in client.devices():
            if one.kind is not DeviceKind.CPU and one.index is not None:
                yield f"cuda:{one.index}", one.name
                yield one.device_id, one.name

    always = [("auto", "the first that is free"), ("cpu", ""), *CARD_NAMES.items()]
    # The beginning of a card's name asks for no other device.
    is_card = incomplete and any(name.startswith(incomplete) for name in CARD_NAMES)
    return _items([*([] if is_card else _asked(ctx, devices)), *always], incomplete)


def complete_token(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the ids of tokens, each with whose it is."""

    def tokens(client: Client) -> Found:
        return ((one.token_id, one.principal) for one in client.list_tokens())

    return _items(_asked(ctx, tokens), incomplete)


def _items(found: Found, incomplete: str) -> list[CompletionItem]:
    """Return what begins as the word does, but for what a shell would not take for one word."""
    return [
        CompletionItem(name, help=" ".join(printable(words).split())[:_MOST_HELP_CHARS] or None)
        for name, words in found
        if name.startswith(incomplete) and _PLAIN_WORD.fullmatch(name)
    ]


def _asked(ctx: click.Context, question: Callable[[Client], Found]) -> list[tuple[str, str]]:
    """Return a daemon's answer; nothing where none is there in time."""
    answer: list[tuple[str, str]] = []

    def ask() -> None:
        with contextlib.suppress(Exception), ctx.scope(cleanup=False):
            address = _address(ctx)
            if address is None and not _is_one_running():
                return
            with open_client(address) as client:
                answer.extend(question(client))

    # Not waited for when it is late: the process ends without it.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LIMIT_S)
    return list(answer)


def _is_one_running() -> bool:
    if os.environ.get("BSADVISE_ADDRESS"):
        return True
    socket = default_socket()
    return socket.exists() and is_serving(f"unix:{socket}", _PROBE_S)


def _address(ctx: click.Context) -> str | None:
    """Return the address that the command would use, by its flags or the user's file."""
    if ctx.params.get("address"):
        return str(ctx.params["address"])
    root = ctx.find_root()
    if not isinstance(root.command, click.Group):
        return None
    defaults: Any = load_defaults(root.params.get("config"), os.environ, root.command).flags
    for name in ctx.command_path.split()[1:]:
        defaults = defaults.get(name, {})
    address: str | None = defaults.get("address")
    return address

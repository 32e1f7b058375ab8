"""What else a script uses that bears on its training: noted, and otherwise left as it is."""

from __future__ import annotations

import argparse
import functools
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from advisor.worker.scripts.handler import StopScript
from advisor.worker.scripts.patching import replaced

_SIMULATORS = ("gymnasium", "gym", "pettingzoo", "dm_control", "envpool", "procgen")
_OUR_OWN = ("localhost", "127.0.0.1", "::1", "")


@dataclass(slots=True)
class Circumstances:
    """What was noted of one run.

    Attributes:
        schedules: The learning-rate schedules, in the order in which they were made.
        autocast_dtype: What autocast was last entered with; None where it never was.
        is_compiled: Whether ``torch.compile`` was called.
        has_processes: Whether a group of processes was joined, or some were started that are no
            data loader's.
        hosts: Machines whose address was asked for.
        usage_error: What a parser of arguments last objected to; empty where none did.
        options: What flags of command-line parsers came to: flag and value.
    """

    schedules: list[LRScheduler] = field(default_factory=list)
    autocast_dtype: torch.dtype | None = None
    is_compiled: bool = False
    has_processes: bool = False
    hosts: list[str] = field(default_factory=list)
    usage_error: str = ""
    options: list[tuple[str, object]] = field(default_factory=list)

    @property
    def simulator(self) -> str:
        """A library of simulated environments that was imported; empty without one."""
        return next((name for name in _SIMULATORS if name in sys.modules), "")

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is used until the context is left."""
        owners: list[tuple[Any, str, Callable[..., None]]] = [
            (LRScheduler, "__init__", self._schedule),
            (ReduceLROnPlateau, "__init__", self._schedule),
            (torch.autocast, "__enter__", self._autocast),
            (torch, "compile", self._compile),
            (nn.Module, "compile", self._compile),
            (torch.distributed, "init_process_group", self._group),
            (torch.multiprocessing, "spawn", self._spawn),
            (torch.multiprocessing, "start_processes", self._spawn),
            (BaseProcess, "start", self._process),
            (socket, "getaddrinfo", self._host),
            (argparse.ArgumentParser, "error", self._usage),
        ]
        with ExitStack() as stack:
            for owner, name, note in owners:
                stack.enter_context(replaced(owner, name, _noting(note)))
            stack.enter_context(
                replaced(argparse.ArgumentParser, "parse_known_args", self._parsing)
            )
            yield

    def _schedule(self, schedule: LRScheduler, *_: Any, **__: Any) -> None:
        self.schedules.append(schedule)

    def _autocast(self, context: torch.autocast, *_: Any) -> None:
        if context._enabled:  # noqa: SLF001 - torch says it in no other way
            self.autocast_dtype = context.fast_dtype

    def _compile(self, *_: Any, **__: Any) -> None:
        self.is_compiled = True

    def _group(self, *_: Any, **__: Any) -> None:
        self.has_processes = True

    def _spawn(self, _: Any, args: Any = (), nprocs: int = 1, *__: Any, **___: Any) -> None:  # noqa: ARG002
        if nprocs > 1:
            # What they would do is seen by nobody, and takes all processors.
            self.has_processes = True
            raise StopScript

    def _process(self, process: BaseProcess) -> None:
        target = getattr(process, "_target", None)
        module = getattr(target, "__module__", "") or ""
        if not module.startswith(("torch.utils.data.", "multiprocessing.")):
            self.has_processes = True

    def _host(self, host: Any, *_: Any, **__: Any) -> None:
        name = host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")
        if name not in _OUR_OWN and name not in self.hosts:
            self.hosts.append(name)

    def _usage(self, _: argparse.ArgumentParser, message: str) -> None:
        self.usage_error = message

    def _parsing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def parse(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
            parsed = original(parser, *args, **kwargs)
            for action in parser._actions:  # noqa: SLF001 - argparse lists them nowhere else
                if action.option_strings and hasattr(parsed[0], action.dest):
                    flag = max(action.option_strings, key=len)
                    self.options.append((flag, getattr(parsed[0], action.dest)))
            return parsed

        return parse


def _noting(note: Callable[..., None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what makes a function note its arguments before it does what it does."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def noting(*args: Any, **kwargs: Any) -> Any:
            note(*args, **kwargs)
            return original(*args, **kwargs)

        return noting

    return wrap

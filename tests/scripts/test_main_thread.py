"""The main thread runs what other threads begin in it, while it is lent to them."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import pytest

from advisor.worker.scripts.main_thread import MainThread


def test_what_is_started_runs_in_the_thread_that_is_lent() -> None:
    main_thread, ran_in = MainThread(), SimpleQueue[int]()
    found: list[int] = []

    def commands() -> None:
        for _ in range(2):
            main_thread.start(lambda: ran_in.put(threading.get_ident()))
            found.append(ran_in.get())
        found.append(threading.get_ident())

    main_thread.lend(commands)
    here = threading.get_ident()
    assert found[:2] == [here, here]
    assert found[2] != here


def test_what_the_commands_raise_is_raised_where_the_thread_was_lent() -> None:
    def fail() -> None:
        raise LookupError("no command")

    with pytest.raises(LookupError, match="no command"):
        MainThread().lend(fail)


def test_without_a_thread_that_is_lent_a_function_has_its_own() -> None:
    ran_in: SimpleQueue[int] = SimpleQueue()
    MainThread().start(lambda: ran_in.put(threading.get_ident()))
    assert ran_in.get() != threading.get_ident()


def test_what_is_called_runs_in_the_thread_that_is_lent_and_answers() -> None:
    main_thread = MainThread()
    found: list[object] = []

    def raise_error() -> None:
        raise LookupError("in there")

    def commands() -> None:
        found.append(main_thread.call(threading.get_ident))
        with pytest.raises(LookupError, match="in there"):
            main_thread.call(raise_error)

    main_thread.lend(commands)
    assert found == [threading.get_ident()]
    assert main_thread.call(threading.get_ident) == threading.get_ident()

"""Threads that can be ended from outside: Python code alone, between two of its instructions."""

from __future__ import annotations

import ctypes
import threading


class ThreadEnded(BaseException):
    """Raised in a thread that is to end. No ``except Exception`` catches it."""


def end_thread(thread: threading.Thread) -> None:
    """Have a thread that runs Python code end by ``ThreadEnded``, as soon as it runs on."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(ThreadEnded)
        )

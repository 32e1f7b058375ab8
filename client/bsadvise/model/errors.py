"""What can go wrong for the user, and the exit code of each.

BsadviseError                 1
├── InvalidRequest            2   a field of the request is wrong; all that are, at once
├── SourceUnusable            2   the model file cannot be sent: absent, or too large with its data
├── ModelFileError            3   the model file is at fault
├── NoFitError                4   not even one sample fits in the memory
├── DaemonUnreachable         5   nobody answers at the address
│   └── DaemonFailed          5   a private daemon could not be started, or died
├── NothingToSay              6   it ended before there was an answer
│   ├── Cancelled             6   because somebody asked for that
│   └── TimedOut              6   because the time was up
├── NotFound                  1   no such recommendation, source or device
├── RequestIdReused           1   the request id stands for another request
├── StillRunning              1   a recommendation that runs cannot be removed
├── AddressUnusable           2   the address, or a file of credentials, cannot be used
├── AccessDenied              7   the daemon does not let the caller do this
│   └── NotAuthenticated      7   it does not know the caller: no token, or one that is no good
├── QuotaExceeded             8   the caller has had their share of the daemon
├── DeviceUnavailable         1   the device cannot be had, or was lost
├── Interrupted               1   its daemon died; the same request goes on from its log
├── ServerMissing             1   the [server] extra is not installed
├── LibraryMissing            1   an integration's library is not installed
├── ApplyingFailed            1   a training cannot be given the advised setting
├── ExportFailed              1   a job cannot be written in another program's format
│   └── StorageUnusable       2   where it was to be written is no such place
├── UnexpectedReply           1   the daemon speaks a newer dialect than this client
└── DaemonError               1   the daemon failed; a defect of ours
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bsadvise.printable import printable

if TYPE_CHECKING:
    from bsadvise.model.advice import Refusal
    from bsadvise.model.measurements import Fault


class BsadviseError(Exception):
    """Root of all errors that the client raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Return the message as a terminal may show it: much of it is a daemon's or a file's."""
        return printable(super().__str__())


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field: its name in the request, and what is wrong with it."""

    field: str
    description: str


class InvalidRequest(BsadviseError):
    """A request cannot be carried out as it is; ``violations`` names every wrong field."""

    exit_code = 2

    def __init__(self, message: str, violations: tuple[FieldViolation, ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations


class SourceUnusable(BsadviseError):
    """The model file is absent, or it and what it needs cannot be sent."""

    exit_code = 2


class ModelFileError(BsadviseError):
    """The model file is at fault; ``fault`` says where, when the worker found out."""

    exit_code = 3

    def __init__(self, message: str, fault: Fault | None = None) -> None:
        super().__init__(message)
        self.fault = fault


class NoFitError(BsadviseError):
    """Not even one sample fits in the memory."""

    exit_code = 4


class DaemonUnreachable(BsadviseError):
    """Nobody answers at the address."""

    exit_code = 5


class DaemonFailed(DaemonUnreachable):
    """A private daemon could not be started, or died."""


class NothingToSay(BsadviseError):
    """A recommendation ended before there was any answer."""

    exit_code = 6


class Cancelled(NothingToSay):
    """It was cancelled before there was any answer."""


class TimedOut(NothingToSay):
    """The time was up before there was any answer."""


class NotFound(BsadviseError):
    """There is no such thing, or the caller may not know of it."""


class RequestIdReused(BsadviseError):
    """A request id was used before, for another request."""


class StillRunning(BsadviseError):
    """What was asked for cannot be done to a recommendation that runs."""


class AddressUnusable(BsadviseError):
    """The address asks for what is not safe, or a file of credentials cannot be read."""

    exit_code = 2


class AccessDenied(BsadviseError):
    """The daemon does not let the caller do this."""

    exit_code = 7


class NotAuthenticated(AccessDenied):
    """The daemon does not know the caller: no token was shown, or one that is no good."""


class QuotaExceeded(BsadviseError):
    """The caller has had their share of the daemon; the message says of what."""

    exit_code = 8


class DeviceUnavailable(BsadviseError):
    """The device cannot be had, or was lost."""


class Interrupted(BsadviseError):
    """The daemon that worked on it died; the same request goes on from its log."""


class ServerMissing(BsadviseError):
    """A daemon was to be started here, but the [server] extra is not installed."""


class LibraryMissing(BsadviseError):
    """The library that an integration is for is not installed."""


class ApplyingFailed(BsadviseError):
    """A training cannot be given the advised setting, or does not train with it."""


class ExportFailed(BsadviseError):
    """A job cannot be written in another program's format; the message says why."""


class StorageUnusable(ExportFailed):
    """What was given as the storage is no such place."""

    exit_code = 2


class UnexpectedReply(BsadviseError):
    """The daemon answered something that this version of the client does not know."""


class DaemonError(BsadviseError):
    """The daemon failed; a defect of ours. ``log_path`` is a private daemon's log."""

    log_path: Path | None = None

    def __str__(self) -> str:
        """Return the message, and where the log is, if it is here."""
        text = super().__str__()
        return text if self.log_path is None else f"{text} Its log: {printable(str(self.log_path))}"


_REFUSALS: dict[str, type[BsadviseError]] = {
    "no_fit": NoFitError,
    "timed_out": TimedOut,
    "device": DeviceUnavailable,
    "interrupted": Interrupted,
    "internal": DaemonError,
}


def error_of_refusal(refusal: Refusal) -> BsadviseError:
    """Return the error that says why there is no advice."""
    if refusal.code == "model_file":
        return ModelFileError(_with_place(refusal.message, refusal.fault), refusal.fault)
    return _REFUSALS.get(refusal.code, BsadviseError)(refusal.message)


def _with_place(message: str, fault: Fault | None) -> str:
    if fault is None or fault.file is None or fault.line is None:
        return message
    place = f"{fault.file}:{fault.line}"
    return message if place in message else f"{place}: {message}"

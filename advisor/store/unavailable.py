"""What the database's errors mean to the person who runs the daemon."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from advisor.domain.errors import RecordUnreadable, StoreFull, StoreUnavailable

BUSY_TIMEOUT_S = 10.0
"""How long SQLite waits for another process's write; ours take milliseconds."""

_NO_ACCESS = (
    "{place} cannot be opened for writing; give this user write access to the file and to its "
    "directory, or use another state directory"
)
_DAMAGED = (
    "{place} is damaged, or is not a database; restore a backup, or move the file away and a "
    "new one is made"
)
_LOCKED = (
    f"{{place}} has been locked by another process for {BUSY_TIMEOUT_S:.0f} s; end that process, "
    "or use another state directory"
)

_FULL = "the disk that holds {place} is full; free some space, and work goes on"

# By the second word of SQLite's error names: SQLITE_READONLY_DIRECTORY is a READONLY. And by
# PostgreSQL's SQLSTATE: disk_full, read_only_sql_transaction.
_SENTENCES = {
    "AUTH": _NO_ACCESS,
    "BUSY": _LOCKED,
    "CANTOPEN": _NO_ACCESS,
    "CORRUPT": _DAMAGED,
    "FULL": _FULL,
    "53100": _FULL,
    "25006": _NO_ACCESS,
    "IOERR": "the disk that holds {place} failed to read or write; see the system's log",
    "LOCKED": _LOCKED,
    "NOTADB": _DAMAGED,
    "PERM": _NO_ACCESS,
    "READONLY": _NO_ACCESS,
}


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise StoreUnavailable in place of the errors that say the database cannot be used.

    A value that is nested too deeply for the interpreter's stack is RecordUnreadable.

    Errors that indicate a bug, such as a wrong statement, are not translated.

    Args:
        place: The database's file, or its URL without the password.
    """
    try:
        yield
    except sqlite3.Error as error:  # Of a statement that is run past SQLAlchemy, such as VACUUM.
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.IntegrityError):
            raise
        raise _named(place, error) from error
    except (OSError, MemoryError) as error:
        raise StoreUnavailable(f"{place} cannot be used ({error!r})") from error
    except RecursionError as error:
        raise RecordUnreadable(f"a value for {place} is nested too deeply") from error
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        raise _named(place, error) from error
    except exc.DatabaseError as error:
        # "Not a database" and "malformed" come as the base class itself.
        if type(error) is not exc.DatabaseError:
            raise
        raise _named(place, error) from error


def _named(place: str, error: exc.SQLAlchemyError | sqlite3.Error) -> StoreUnavailable:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    template = _SENTENCES.get(_name_of(cause), "{place} cannot be used")
    named = StoreFull if template is _FULL else StoreUnavailable
    return named(f"{template.format(place=place)} ({cause})")


def _name_of(cause: BaseException | None) -> str:
    # Errors of the sqlite3 module itself carry no name, those of PostgreSQL a code.
    if isinstance(cause, sqlite3.Error):
        return "".join(getattr(cause, "sqlite_errorname", "").split("_")[1:2])
    return str(getattr(cause, "sqlstate", ""))

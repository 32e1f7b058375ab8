"""What decides an answer and lies outside its bundle: packages of an interpreter, and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

_SITES = (
    "lib*/python3*/site-packages",
    "lib/python3/dist-packages",
    "local/lib/python3*/dist-packages",
)
"""Below an interpreter's prefix; the last two are Debian's."""


def describe_outside(python: Path | None, data_paths: Sequence[Path]) -> Mapping[str, object]:
    """Return what is known of what a request's code finds, without running any of it.

    Args:
        python: The interpreter that the request names; None for the daemon's own, whose versions
            are known already.
        data_paths: What model files may read. Of each its own entry is looked at, not what lies
            below it: a file that is added or removed at the top of a folder shows, one that is
            changed or lies deeper does not.
    """
    return {
        "torch": None if python is None else _torch_of(python),
        "data": [[str(path), *_stamp(path)] for path in data_paths],
    }


def _torch_of(python: Path) -> list[object]:
    """Return the versions of PyTorch that an interpreter may import, by its packages' metadata.

    Where it has none that is found, the interpreter's and its folders' times stand for it.
    """
    sites = [site for prefix in _prefixes(python) for site in _sites_of(prefix)]
    found = [
        [str(site), distribution.version]
        for site in sites
        for distribution in metadata.distributions(name="torch", path=[str(site)])
    ]
    return [*found] or [[str(path), *_stamp(path)] for path in (python, *sites)]


def _prefixes(python: Path) -> Iterator[Path]:
    prefix = python.parent.parent  # not resolved: a virtual environment's is a link
    yield prefix
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    settings = {
        name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)
    }
    if settings.get("include-system-site-packages", "").lower() == "true" and "home" in settings:
        yield Path(settings["home"]).parent


def _sites_of(prefix: Path) -> list[Path]:
    return sorted(site for pattern in _SITES for site in prefix.glob(pattern))


def _stamp(path: Path) -> tuple[int, int, int] | tuple[()]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size

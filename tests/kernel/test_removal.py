"""Whatever a tree looks like, it is removed or it is said why not; nothing beside it is touched."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from advisor.kernel.removal import open_to_owner, remove_tree, temporary_dir

NOBODY = 65534

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Ten thousand folders take a disk that others keep busy half a minute."""

FILE, LINK, DANGLING, FIFO = "file", "link", "dangling", "fifo"

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
) | st.sampled_from((b"-rf", b"\xff\n\x1b[31m", b".0-0", b"..."))
MODES = st.sampled_from((0o000, 0o300, 0o400, 0o500, 0o755))

Tree = str | tuple[Mapping[bytes, "Tree"], int]

TREES = st.recursive(
    st.sampled_from((FILE, LINK, DANGLING, FIFO)),
    lambda inner: st.tuples(st.dictionaries(NAMES, inner, max_size=4), MODES),
    max_leaves=12,
)


@pytest.fixture
def place() -> Iterator[Path]:
    """Return an empty folder of a user for whom closed folders are closed, and be that user."""
    is_root = os.geteuid() == 0
    path = Path(tempfile.mkdtemp(prefix="bsadvise-removal-", dir=MEMORY))
    if is_root:  # Whom nothing is closed to. The folders above those of pytest are root's alone.
        os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield path
    finally:
        if is_root:
            os.seteuid(0)
        remove_tree(path)


def make(parent_fd: int, name: bytes, tree: Tree, outside: Path) -> None:
    if tree == FILE:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o000, dir_fd=parent_fd))
    elif tree == LINK:
        os.symlink(outside, name, dir_fd=parent_fd)
    elif tree == DANGLING:
        os.symlink("nowhere", name, dir_fd=parent_fd)
    elif tree == FIFO:
        os.mkfifo(name, dir_fd=parent_fd)
    else:
        assert isinstance(tree, tuple)
        entries, mode = tree
        os.mkdir(name, dir_fd=parent_fd)
        folder_fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=parent_fd)
        for child, inner in entries.items():
            make(folder_fd, child, inner, outside)
        os.fchmod(folder_fd, mode)
        os.close(folder_fd)


@given(tree=TREES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_tree_is_removed_and_nothing_beside_it(place: Path, tree: Tree) -> None:
    outside = place / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "kept").touch()
    parent_fd = os.open(place, os.O_RDONLY)
    make(parent_fd, b"tree", tree, outside)
    os.close(parent_fd)

    assert remove_tree(place / "tree") is None

    assert [path.name for path in place.iterdir()] == ["outside"]
    assert [path.name for path in outside.iterdir()] == ["kept"]


def nest(path: Path, depth: int, name: str) -> None:
    """Make folders in folders, far beyond what a path can name."""
    path.mkdir()
    folder_fd = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder_fd)
        inner_fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder_fd)
        os.close(folder_fd)
        folder_fd = inner_fd
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=folder_fd))
    os.close(folder_fd)


def test_ten_thousand_nested_folders(place: Path) -> None:
    nest(place / "deep", 10_000, "d" * 100)
    assert remove_tree(place / "deep") is None
    assert list(place.iterdir()) == []


def test_what_is_not_there_a_file_and_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "file").touch()
    for name in ("nothing", "link", "file"):
        assert remove_tree(tmp_path / name) is None
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_cannot_be_removed_is_told_and_the_rest_is_gone(place: Path) -> None:
    tree = place / "tree"
    (tree / "inner" / "inner").mkdir(parents=True)
    (tree / "inner" / "file").touch()
    place.chmod(0o500)
    reason = remove_tree(tree)
    assert list(tree.iterdir()) == []
    place.chmod(0o700)
    assert reason is not None
    assert reason.endswith("Permission denied")
    assert remove_tree(tree) is None
    assert list(place.iterdir()) == []


def test_a_closed_folder_is_opened_to_its_owner_and_a_link_is_not_followed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    (tmp_path / "link").symlink_to(closed)
    with pytest.raises(NotADirectoryError):
        open_to_owner(tmp_path / "link")
    assert stat.S_IMODE(closed.stat().st_mode) == 0
    open_to_owner(closed)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_a_temporary_directory_goes_however_it_was_filled(place: Path) -> None:
    with temporary_dir(place, ".new-") as path:
        nest(path / "deep", 2000, "d")
    assert list(place.iterdir()) == []

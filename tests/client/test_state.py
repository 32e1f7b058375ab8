"""Where private daemons keep what they keep: their logs, and a place where locks work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bsadvise import filesystems
from bsadvise.model.errors import DaemonFailed
from bsadvise.transport.state import open_log, state_place


def test_the_last_logs_are_kept_and_those_of_daemons_that_run(tmp_path: Path) -> None:
    running = [open_log(tmp_path) for _ in range(3)]
    for _ in range(25):
        path, stream = open_log(tmp_path)
        stream.close()
    for path, stream in running:
        assert path.exists()
        stream.close()
    path, stream = open_log(tmp_path)
    stream.close()
    kept = sorted((tmp_path / "logs").iterdir())
    assert len(kept) == 20
    assert {one.stat().st_mode & 0o777 for one in kept} == {0o600}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DaemonFailed, match=r"file/logs cannot be written: Not a directory"):
        open_log(tmp_path / "file")


def _mount(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *mounts: tuple[Path, str]) -> None:
    lines = ["22 1 0:21 / / rw - ext4 /dev/root rw"]
    for path, kind in mounts:
        place = str(path).replace(" ", "\\040")
        lines.append(f"30 22 0:50 / {place} rw shared:1 - {kind} host:/x rw")
    (tmp_path / "mountinfo").write_text("\n".join(lines))
    monkeypatch.setattr(filesystems, "_MOUNTS", tmp_path / "mountinfo")


def test_a_cache_on_a_network_is_kept_on_the_local_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, local = tmp_path / "the home", tmp_path / "local"
    local.mkdir()
    monkeypatch.setattr("bsadvise.transport.state._LOCAL_FOLDER", local)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    _mount(monkeypatch, tmp_path, (home, "ext4"))
    assert state_place().path == home / "cache/bsadvise"
    _mount(monkeypatch, tmp_path, (home, "nfs4"))
    place = state_place()
    assert place.path == local / f"bsadvise-{os.getuid()}"
    assert "the home/cache/bsadvise is on nfs4" in str(place.reason)
    assert place.path.stat().st_mode & 0o777 == 0o700
    # A disk that is mounted below the home, or over it, is no network.
    _mount(monkeypatch, tmp_path, (home, "nfs4"), (home / "cache", "xfs"))
    assert state_place().reason is None
    _mount(monkeypatch, tmp_path, (home, "nfs4"), (home, "xfs"))
    assert state_place().reason is None


def test_no_other_place_is_taken_than_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bsadvise.transport.state._LOCAL_FOLDER", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _mount(monkeypatch, tmp_path, (tmp_path / "cache", "fuse.sshfs"))
    (tmp_path / f"bsadvise-{os.getuid()}").mkdir()
    (tmp_path / f"bsadvise-{os.getuid()}").chmod(0o755)
    with pytest.raises(DaemonFailed, match=r"is on fuse.sshfs, .* name one with XDG_CACHE_HOME"):
        state_place()
    _mount(monkeypatch, tmp_path, (tmp_path, "lustre"))
    with pytest.raises(DaemonFailed, match="is on lustre"):
        state_place()

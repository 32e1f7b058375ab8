"""The directory that the daemon shares with its workers: sources and checkpoints."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from bsadvise.model.device import Device
from bsadvise.model.recommendation import Recommendation
from bsadvise.model.request import AdviceRequest

from advisor.application.bundles import Unpack, checked_files
from advisor.application.supervision import Supervisor
from advisor.domain.errors import StoreFull
from advisor.kernel.removal import open_to_owner, remove_tree, temporary_dir
from advisor.ports.clock import Clock
from advisor.ports.store import InUse, Store
from advisor.ports.worker_pool import WorkerJob

_REMOVED = "removed"


class Workspace:
    """Lays out what a worker reads and writes, below one directory.

    ``sources/<digest>/`` holds a bundle's files, ``checkpoints/<name>/`` the checkpoints of a
    recommendation, ``scratch/`` directories that go with their use. Each directory's time is
    that of its last use; by it, what nobody will come back to is found and swept away.
    ``removed/`` holds what is out of use; most is gone at once, and what cannot be removed is
    tried again.
    """

    def __init__(
        self,
        state_dir: Path,
        store: Store,
        unpack: Unpack,
        clock: Clock,
        supervisor: Supervisor,
    ) -> None:
        self._state_dir = state_dir
        self._store = store
        self._unpack = unpack
        self._clock = clock
        self._supervisor = supervisor

    async def job(
        self,
        request: AdviceRequest,
        *,
        found: tuple[Device, ...],
        checkpoint_dir: Path,
    ) -> WorkerJob:
        """Return what a worker needs to know for a request, its source unpacked.

        Args:
            request: The request.
            found: The devices that are held for it, as they are now, the planned one first; its
                number may have changed.
            checkpoint_dir: Where checkpoints are kept.

        Raises:
            NotFound: The source is not in the store.
        """
        return WorkerJob(
            source_dir=await self._source_dir(request.source.digest),
            entry_path=request.source.entry_path,
            checkpoint_dir=checkpoint_dir,
            devices=found,
            memory_limit_bytes=request.memory_limit_bytes,
            seed=request.seed,
            build_kwargs=request.build_kwargs,
            python=Path(request.python) if request.python else None,
            entry_kind=request.source.entry_kind,
            arguments=request.source.arguments,
            model_class=request.model_class or "",
            data_paths=request.data_paths,
        )

    def checkpoint_dir(self, recommendation: Recommendation) -> Path:
        """Return where a recommendation's checkpoints are kept, whether it is there or not.

        Recommendations with one answer share it, one after the other, so that the second can
        go on from the first one's log. Two devices that are alike never do so at once, since
        each has its own.
        """
        if not recommendation.request.use_cache:
            return self._state_dir / "checkpoints" / recommendation.recommendation_id
        device_name = recommendation.device.device_id.replace("/", "_")
        return self._state_dir / "checkpoints" / f"{recommendation.fingerprint}.{device_name}"

    def make_checkpoint_dir(self, recommendation: Recommendation) -> Path:
        """Return where a recommendation's checkpoints are kept, made if need be."""
        path = self.checkpoint_dir(recommendation)
        with _room_needed(path):
            path.mkdir(parents=True, exist_ok=True)
            self._touch(path)
        return path

    def set_aside(self, recommendation: Recommendation) -> Path | None:
        """Take a recommendation's checkpoints out of use at once, whatever they hold.

        Returns:
            Where they are now, for ``remove``; None where there are none, or where they cannot be
            moved and were removed as far as can be.
        """
        return self._set_aside(self.checkpoint_dir(recommendation))

    def remove(self, path: Path) -> bool:
        """Remove a directory, and return whether all of it is gone. Fails no run: never raises."""
        try:
            reason = remove_tree(path)
        except Exception as error:  # noqa: BLE001 - such as a want of memory; it is tried again
            reason = repr(error)
        if reason is not None:
            self._supervisor.note("removal", reason, path=str(path))
        return reason is None

    def remove_set_aside(self) -> int:
        """Remove all that is out of use, and return how many directories are left."""
        return sum(not self.remove(path) for path in _children(self._state_dir / _REMOVED))

    @asynccontextmanager
    async def scratch_dir(self) -> AsyncIterator[Path]:
        """Make an empty directory, and remove it on leaving."""
        path = self._state_dir / "scratch" / secrets.token_hex(8)
        with _room_needed(path):
            path.mkdir(mode=0o700, parents=True)
            self._touch(path)
        try:
            yield path
        finally:
            await asyncio.to_thread(self.remove, path)

    def list_unused(self, since_s: float) -> list[Path]:
        """Return the directories that nobody has begun to use since a Unix time."""
        return [
            path
            for name in ("checkpoints", "sources", "scratch")
            for path in _children(self._state_dir / name)
            if _used_at_s(path) < since_s
        ]

    def sweep(self, candidates: Iterable[Path], in_use: InUse) -> int:
        """Remove those directories that no run may come back to, and return how many.

        Args:
            candidates: What ``list_unused`` has returned.
            in_use: What the store has said since.
        """
        count = 0
        for path in candidates:
            is_wanted = path.name.split(".")[0] in in_use.names or path.name in in_use.digests
            if is_wanted:
                continue
            if (aside := self._set_aside(path)) is not None:
                self.remove(aside)
            count += not path.exists()
        return count

    def _set_aside(self, path: Path) -> Path | None:
        aside = self._state_dir / _REMOVED / secrets.token_hex(8)
        try:
            open_to_owner(path)  # To move a folder one must be allowed to write in it.
            aside.parent.mkdir(exist_ok=True)
            path.rename(aside)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - a file, a mount, no room: it fails no run
            if not self.remove(path):
                self._supervisor.note("removal", error, path=str(path))
            return None
        return aside

    async def has_file(self, digest: str, path: str) -> bool:
        """Return whether a bundle holds a file. Raises NotFound."""
        directory = await self._source_dir(digest)
        return await asyncio.to_thread((directory / path).is_file)

    async def _source_dir(self, digest: str) -> Path:
        target = self._state_dir / "sources" / digest
        if not await asyncio.to_thread(self._is_there, target):
            bundle = await self._store.get_source(digest)
            with _room_needed(target):
                await asyncio.to_thread(self._unpack_into, target, bundle)
        return target

    def _is_there(self, directory: Path) -> bool:
        with suppress(FileNotFoundError):
            self._touch(directory)
            return directory.is_dir()
        return False

    def _touch(self, path: Path) -> None:
        now_s = self._clock.now_s()
        os.utime(path, (now_s, now_s))

    def _unpack_into(self, target: Path, bundle: bytes) -> None:
        files = checked_files(self._unpack(bundle))
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_dir(target.parent, ".new-") as scratch:
            _write_files(scratch / "files", files)
            try:
                # Whole or not at all: a daemon killed here leaves no half of a bundle.
                (scratch / "files").rename(target)
                self._touch(target)
            except OSError:
                if not target.is_dir():
                    raise  # Else another task was first, with the same bytes.


def _children(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def _used_at_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # Another daemon was quicker.
        return float("inf")


@contextmanager
def _room_needed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise StoreFull(f"the disk that holds {path} is full") from error


def _write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    directory.mkdir()
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

"""Sources are laid out whole or not at all, and only where they belong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bsadvise.model.recommendation import LOCAL

from advisor.application.bundles import checked_files
from advisor.application.supervision import Supervisor
from advisor.application.workspace import Workspace
from advisor.domain.errors import NotFound, SourceRejected
from advisor.service.bundle_reading import unpack_bundle
from tests.support.bench import Bench
from tests.support.bundles import digest_of, make_bundle, raw_bundle

pytestmark = pytest.mark.rights


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def workspace(bench: Bench) -> Workspace:
    return Workspace(bench.state_dir, bench.store, unpack_bundle, bench.clock, Supervisor())


async def test_a_bundle_is_laid_out_once_however_many_ask(
    bench: Bench, workspace: Workspace
) -> None:
    bundle = make_bundle(model="x = 1", package__inner="y = 2")
    digest = digest_of(bundle)
    await bench.store.put_source(digest, bundle, principal=LOCAL)
    found = await asyncio.gather(
        *(workspace.has_file(digest, "package/inner.py") for _ in range(8))
    )
    assert all(found)
    assert not await workspace.has_file(digest, "other.py")
    assert [path.name for path in (bench.state_dir / "sources").iterdir()] == [digest]


async def test_a_source_that_is_laid_out_is_not_read_again(
    bench: Bench, workspace: Workspace
) -> None:
    (bench.state_dir / "sources" / "0" / "a").mkdir(parents=True)
    assert not await workspace.has_file("0", "a")  # a directory; and the store has no such source
    with pytest.raises(NotFound):
        await workspace.has_file("1", "a")


async def test_a_bad_bundle_in_the_store_leaves_nothing_behind(
    bench: Bench, workspace: Workspace
) -> None:
    bundle = raw_bundle(("../escaped.py", b""))
    await bench.store.put_source("0", bundle, principal=LOCAL)
    with pytest.raises(SourceRejected):
        await workspace.has_file("0", "escaped.py")
    assert not list(bench.state_dir.rglob("*.py"))


async def test_a_scratch_directory_goes_with_its_use(workspace: Workspace) -> None:
    async with workspace.scratch_dir() as scratch:
        (scratch / "checkpoint").write_text("")
    assert not scratch.exists()


def test_too_many_files_are_refused() -> None:
    with pytest.raises(SourceRejected, match="more than 10000"):
        checked_files((f"{number}.py", b"") for number in range(10_001))

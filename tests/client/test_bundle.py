"""What goes into a bundle, and what does not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath
from random import Random

import pytest
from bsadvise.model.errors import ModelFileError, SourceUnusable
from bsadvise.source import files as files_module
from bsadvise.source.bundle import collect, pack
from bsadvise.source.files import read_files
from bsadvise.v1.source_service_pb2 import SourceBundle
from hypothesis import given
from hypothesis import strategies as st

names = st.text("abcdefg", min_size=1, max_size=4)
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".py")
contents = st.dictionaries(paths, st.binary(max_size=20), min_size=1, max_size=6)


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def bundled(model: Path, *include: Path) -> set[str]:
    return {file.path for file in SourceBundle.FromString(collect(model, include).content).files}


@given(contents, st.randoms())
def test_the_digest_does_not_depend_on_the_order_of_files(
    files: dict[str, bytes], random: Random
) -> None:
    shuffled = list(files.items())
    random.shuffle(shuffled)

    assert pack(dict(shuffled), "a.py") == pack(files, "a.py")


@given(contents)
def test_a_bundle_is_what_the_contract_says(files: dict[str, bytes]) -> None:
    packed = pack(files, "a.py")
    inside = SourceBundle.FromString(packed.content).files

    assert [file.path for file in inside] == sorted(files)
    assert {file.path: file.content for file in inside} == files
    assert packed.digest == hashlib.sha256(packed.content).hexdigest()


@given(contents, paths)
def test_another_content_has_another_digest(files: dict[str, bytes], path: str) -> None:
    changed = {**files, path: files.get(path, b"") + b"#"}

    assert pack(changed, "a.py").digest != pack(files, "a.py").digest


def test_local_imports_come_along_and_nothing_else(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "model.py": "import json, torch\nimport nets.small as s\nfrom data import load\n",
            "nets/__init__.py": "",
            "nets/small.py": "from . import blocks\nfrom .deep.layer import f\n",
            "nets/blocks.py": "from .. import out\n",
            "nets/deep/__init__.py": "",
            "nets/deep/layer.py": "def f():\n    import late\n",
            "nets/unused.py": "",
            "data.py": "",
            "late.py": "",
            "out.py": "",
            "json.py": "hides nothing: the standard library comes first",
            "notes.txt": "",
        },
    )

    assert bundled(tmp_path / "model.py") == {
        "model.py", "nets/__init__.py", "nets/small.py", "nets/blocks.py",
        "nets/deep/__init__.py", "nets/deep/layer.py", "data.py", "late.py",
    }  # fmt: skip


def test_a_model_file_inside_a_package_keeps_its_place(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "lab/__init__.py": "from lab import common",
            "lab/common.py": "",
            "lab/runs/__init__.py": "",
            "lab/runs/model.py": "from ..tools import x\n",
            "lab/tools.py": "x = 1",
        },
    )
    found = collect(tmp_path / "lab/runs/model.py")

    assert found.entry_path == "lab/runs/model.py"
    assert bundled(tmp_path / "lab/runs/model.py") == {
        "lab/__init__.py", "lab/common.py", "lab/runs/__init__.py", "lab/runs/model.py",
        "lab/tools.py",
    }  # fmt: skip


def test_namespace_packages_are_followed(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "import space.inner.leaf\n", "space/inner/leaf.py": ""})

    assert bundled(tmp_path / "model.py") == {"model.py", "space/inner/leaf.py"}


def test_a_plain_folder_does_not_hide_an_installed_package(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "import click.core\n", "click/core.py": ""})

    assert bundled(tmp_path / "model.py") == {"model.py"}


def test_a_module_hides_an_installed_package_as_it_does_for_python(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "import click\n", "click.py": ""})

    assert bundled(tmp_path / "model.py") == {"model.py", "click.py"}


def test_included_folders_are_taken_whole_but_for_rubbish(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "model.py": "",
            "data/a.txt": "a",
            "data/deep/b.bin": "b",
            "data/__pycache__/c.pyc": "c",
            "vocab.json": "{}",
        },
    )

    found = bundled(tmp_path / "model.py", tmp_path / "data", tmp_path / "vocab.json")

    assert found == {"model.py", "data/a.txt", "data/deep/b.bin", "vocab.json"}
    assert all(not PurePosixPath(path).is_absolute() and ".." not in path for path in found)


def test_the_same_files_elsewhere_have_the_same_digest(tmp_path: Path) -> None:
    files = {"model.py": "import a\n", "a.py": "A = 1\n", "b.txt": "data"}
    digests = set()
    for place in ("here", "there"):
        write(tmp_path / place, files)
        digests.add(collect(tmp_path / place / "model.py", [tmp_path / place / "b.txt"]).digest)

    assert len(digests) == 1


def test_what_lies_outside_the_root_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"project/model.py": "", "elsewhere.txt": ""})

    with pytest.raises(SourceUnusable, match="outside"):
        collect(tmp_path / "project/model.py", [tmp_path / "elsewhere.txt"])


@pytest.mark.parametrize("name", ["absent.py", "folder.py", "model.txt"])
def test_what_is_no_model_file_is_a_matter_of_usage(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "model.txt").touch()

    with pytest.raises(SourceUnusable) as caught:
        collect(tmp_path / name)
    assert name in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_syntax_error_names_file_line_and_text(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "import broken\n", "broken.py": "x = 1\ndef f(:\n    pass\n"})

    with pytest.raises(ModelFileError) as caught:
        collect(tmp_path / "model.py")
    assert "broken.py:2: " in str(caught.value)
    assert "def f(:" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_file_with_null_bytes_is_the_files_fault(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_bytes(b"x = 1\0")

    with pytest.raises(ModelFileError, match=r"model\.py"):
        collect(tmp_path / "model.py")


def test_too_large_a_bundle_names_the_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "MAX_BUNDLE_BYTES", 4096)
    write(tmp_path, {"model.py": "", "small.txt": "s", "large.bin": "x" * 5000})

    with pytest.raises(SourceUnusable) as caught:
        collect(tmp_path / "model.py", [tmp_path / "small.txt", tmp_path / "large.bin"])
    assert "large.bin (4.883 KiB)" in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_is_too_large_is_counted_before_it_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "", "data/small.txt": "s"})
    with (tmp_path / "data/huge.bin").open("wb") as huge:
        huge.truncate(1 << 42)  # 4 TiB of nothing: no machine could read it

    with pytest.raises(SourceUnusable, match=r"data/huge\.bin \(4 TiB\)"):
        collect(tmp_path / "model.py", [tmp_path / "data"])
    (tmp_path / "data/huge.bin").rename(tmp_path / "helper.py")
    (tmp_path / "model.py").write_text("import helper")
    with pytest.raises(SourceUnusable, match=r"helper\.py \(4 TiB\)"):
        collect(tmp_path / "model.py")


def test_what_has_no_size_is_read_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_BUNDLE_BYTES", 1000)
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(SourceUnusable, match=r"maps \(1001 B"):
        read_files({"maps": Path("/proc/self/maps")})


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_BUNDLE_FILES", 3)
    write(tmp_path, {"model.py": "", **{f"data/{number}": "" for number in range(4)}})
    with pytest.raises(SourceUnusable, match="more than 3 files"):
        collect(tmp_path / "model.py", [tmp_path / "data"])


def test_a_link_out_of_what_is_included_is_refused_until_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"home/key": "PRIVATE", "repo/model.py": "", "repo/data/a": "a"})
    link = tmp_path / "repo/data/notes"
    link.symlink_to("../../home/key")
    with pytest.raises(SourceUnusable, match=r"data/notes is a link that leads out .*home/key"):
        collect(tmp_path / "repo/model.py", [tmp_path / "repo/data"])

    named = [tmp_path / "repo/data", link]
    assert bundled(tmp_path / "repo/model.py", *named) == {"model.py", "data/a", "data/notes"}
    link.unlink()
    link.symlink_to(tmp_path / "home", target_is_directory=True)
    with pytest.raises(SourceUnusable, match="leads out"):
        collect(tmp_path / "repo/model.py", [tmp_path / "repo/data"])


def test_links_inside_what_is_included_are_read_through(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "", "data/deep/a": "a"})
    (tmp_path / "data/b").symlink_to("deep/a")
    (tmp_path / "data/loop").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "data/dangling").symlink_to("/nowhere")
    found = bundled(tmp_path / "model.py", tmp_path / "data")
    assert found == {"model.py", "data/deep/a", "data/b"}


def test_an_imported_module_is_no_link_out_of_the_root(tmp_path: Path) -> None:
    write(tmp_path, {"credentials": "[default]\nkey = x", "repo/model.py": "import settings\n"})
    (tmp_path / "repo/settings.py").symlink_to("../credentials")
    with pytest.raises(SourceUnusable, match=r"settings\.py is a link that leads out"):
        collect(tmp_path / "repo/model.py")
    assert "settings.py" in bundled(tmp_path / "repo/model.py", tmp_path / "repo/settings.py")


def test_a_name_that_is_not_utf_8_is_told_so(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "", "data/a": ""})
    (tmp_path / os.fsdecode(b"data/caf\xe9")).touch()
    with pytest.raises(SourceUnusable, match="not UTF-8") as caught:
        collect(tmp_path / "model.py", [tmp_path / "data"])
    assert r"caf\udce9" in str(caught.value)


@pytest.mark.parametrize("text", ["-" * 100_000 + "1", "(" * 5000 + ")" * 5000], ids=["-", "()"])
def test_deep_nesting_is_the_files_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.py").write_text(f"x = {text}")
    with pytest.raises(ModelFileError, match=r"model\.py.*(nested|parenthes)"):
        collect(tmp_path / "model.py")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": "", "data/a": "", "deep/b/c": ""})
    (tmp_path / "data/a").chmod(0)
    (tmp_path / "deep/b").chmod(0)
    for folder, name in (("data", "data/a"), ("deep", "deep/b")):
        with pytest.raises(SourceUnusable, match=rf"{name} cannot be read: Permission denied"):
            collect(tmp_path / "model.py", [tmp_path / folder])
    (tmp_path / "deep/b").chmod(0o700)

"""What to change in one's own lines, as a command line and as a diff that other programs apply."""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bsadvise.cli.main import cli
from bsadvise.exports.changes.diff import edited, unified_diff
from bsadvise.exports.changes.finding import find_changes
from bsadvise.exports.changes.numbers import find_number
from bsadvise.exports.changes.values import Changes, Edit, Sources
from bsadvise.exports.changes.writing import write_files
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.errors import BsadviseError
from bsadvise.model.observation import Place, PlaceKind, Quantity, TrainingLoop
from bsadvise.model.request import EntryKind
from bsadvise.model.task import BatchSemantics
from bsadvise.model.units import number_text
from bsadvise.v1 import recommendation_service_pb2
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import a_reference, an_advice
from tests.support.fake_server import FakeDaemon

_MODEL = b"""import torch
REFERENCE_BATCH_SIZE = 32  # of 32
REFERENCE_LR: float = 1e-2

def build_model():
    return torch.nn.Linear(2, 2)

def build_optimizer(params, lr=0.01, momentum=0.01):
    return torch.optim.SGD(params, lr=lr, momentum=momentum)
"""


def _in_model_file(content: bytes, **advice: Any) -> tuple[Changes, bytes]:
    sources = Sources(entry_path="m.py", entry_kind=EntryKind.MODEL_FILE, files={"m.py": content})
    changes = find_changes(an_advice(**advice), sources)
    return changes, edited(sources.files, changes.edits).get("m.py", content)


def _in_script(
    *places: Place, arguments: tuple[str, ...] = (), files: dict[str, bytes] | None = None,
    reference: dict[str, Any] | None = None, **advice: Any,
) -> tuple[Changes, dict[str, bytes]]:  # fmt: skip
    sources = Sources(
        entry_path="train.py", entry_kind=EntryKind.SCRIPT, files=files or {}, arguments=arguments
    )
    seen = a_reference(where=places, **reference or {})
    changes = find_changes(an_advice(reference=seen, **advice), sources)
    return changes, edited(sources.files, changes.edits)


def _place(quantity: str, kind: PlaceKind, name: str, **where: Any) -> Place:
    return Place(
        quantity=Quantity(quantity), kind=kind, name=name, **{"is_confirmed": True} | where
    )


def test_a_model_files_recipe_becomes_the_answer() -> None:
    changes, after = _in_model_file(_MODEL, learning_rate=2.5e-5)
    assert [one.to_dict() for one in changes.values] == [
        {"what": "effective_batch_size", "where": "REFERENCE_BATCH_SIZE, m.py:2", "from": "32",
         "to": "64", "is_confirmed": True},
        {"what": "learning_rate", "where": "REFERENCE_LR, m.py:3", "from": "0.01", "to": "2.5e-05",
         "is_confirmed": True},
        {"what": "learning_rate", "where": "lr, m.py:8", "from": "0.01", "to": "2.5e-05",
         "is_confirmed": True},
    ]  # fmt: skip
    assert after == (
        _MODEL.replace(b"= 32 ", b"= 64 ")
        .replace(b"1e-2", b"2.5e-05")
        .replace(b"lr=0.01, m", b"lr=2.5e-05, m")
    )
    assert changes.notes[0].startswith(
        "accumulate 2 batches an optimizer step: (loss / 2).backward() for each batch, and "
        "optimizer.step() and optimizer.zero_grad() only if (i + 1) % 2 == 0"
    )


def test_what_is_as_advised_or_has_no_effect_stays() -> None:
    unused = Caveat(code=CaveatCode.LEARNING_RATE_UNUSED, text="")
    changes, after = _in_model_file(
        _MODEL, caveats=(unused,), effective_batch_size=32, accumulation_steps=1
    )
    assert (changes, after) == (Changes(), _MODEL)
    assert _in_model_file(b"def build_model(): ...\n", accumulation_steps=1)[0] == Changes()


def test_what_is_computed_is_changed_by_hand() -> None:
    content = b"REFERENCE_LR = 0.1 * 2\ndef build_optimizer(params, lr=None): ...\n"
    changes, after = _in_model_file(content)
    assert after == content
    assert [(one.before, one.after) for one in changes.values] == [
        ("0.1 * 2", "0.001"), ("None", "0.001")
    ]  # fmt: skip


def test_flags_become_a_command_line() -> None:
    batch = _place("micro_batch_size", PlaceKind.FLAG, "--batch-size")
    rate = _place("learning_rate", PlaceKind.FLAG, "--lr")
    for arguments, expected in {
        ("--lr", "0.1", "a b"): "python train.py --lr 0.001 'a b' --batch-size 32",
        ("--lr", "0.1", "--lr=0.1"): "python train.py --lr 0.001 --lr=0.001 --batch-size 32",
        ("--batch-size=128", "--seed=128"): "python train.py --batch-size=32 --seed=128 --lr 0.001",
    }.items():
        changes, changed = _in_script(batch, rate, arguments=arguments)
        assert changes.command == expected
        assert not changed
        assert [(one.what, one.where, one.before, one.after) for one in changes.values] == [
            ("micro_batch_size", "--batch-size", "128", "32"),
            ("learning_rate", "--lr", "0.1", "0.001"),
        ]
    key = _place("learning_rate", PlaceKind.FLAG, "optim.lr")
    assert _in_script(key, arguments=("optim.lr=0.1",))[0].command.endswith("optim.lr=0.001")
    assert _in_script(key)[0].command == "python train.py optim.lr=0.001"


def test_the_batch_of_a_step_is_said_where_the_script_divides_it() -> None:
    batch = _place("batch_size", PlaceKind.FLAG, "--global-batch")
    changes, _ = _in_script(
        batch,
        reference={"batch_size": 128, "micro_batch_size": 32, "accumulation_steps": 4},
        micro_batch_size=48,
        accumulation_steps=2,
    )
    assert changes.command == "python train.py --global-batch 96"
    assert changes.values[0].to_dict() == {
        "what": "batch_size", "where": "--global-batch", "from": "128", "to": "96",
        "is_confirmed": True,
    }  # fmt: skip


def test_numbers_in_files_are_edited_where_they_are_confirmed() -> None:
    files = {
        "conf.yaml": b"eval_batch: 128\r\ndata: {batch_size: 128, other: 128}\r\n",
        "train.py": b"EPOCHS = 3\nopt = SGD(model.parameters(), lr=0.1, momentum=0.1)\n",
    }
    batch = _place(
        "micro_batch_size", PlaceKind.CONFIGURATION_KEY, "batch_size", file="conf.yaml", line=2
    )
    rate = _place("learning_rate", PlaceKind.LITERAL, "lr", file="train.py", line=2)
    changes, changed = _in_script(batch, rate, files=files)
    assert changed == {
        "conf.yaml": files["conf.yaml"].replace(b"batch_size: 128", b"batch_size: 32"),
        "train.py": files["train.py"].replace(b"lr=0.1", b"lr=0.001"),
    }
    assert not changes.command
    unsure = _place(
        "learning_rate", PlaceKind.LITERAL, "lr", file="train.py", line=2, is_confirmed=False
    )
    changes, changed = _in_script(unsure, files=files)
    assert not changed
    assert [one.is_confirmed for one in changes.values] == [False]
    several = (unsure, _place("learning_rate", PlaceKind.FLAG, "--lr", is_confirmed=False))
    changes, changed = _in_script(*several, batch, files=files)
    assert "which none of these was seen to decide alone: lr, train.py:2; --lr" in changes.notes[0]
    assert list(changed) == ["conf.yaml"]


@pytest.mark.parametrize(
    ("loop", "old", "new", "words"),
    [
        (TrainingLoop.LIGHTNING, 1, 2, "accumulate_grad_batches of Trainer"),
        (TrainingLoop.TRANSFORMERS, 4, 1, "gradient_accumulation_steps of TrainingArguments"),
        (TrainingLoop.SCRIPT, 1, 4, "(loss / 4).backward()"),
        (TrainingLoop.SCRIPT, 2, 4, "after 4 batches, not after 2"),
        (TrainingLoop.SCRIPT, 2, 1, "after each batch, not after 2"),
        (TrainingLoop.SCRIPT, 2, 2, ""),
        (TrainingLoop.LIGHTNING, 2, 2, ""),
    ],
)
def test_accumulation_is_explained(loop: TrainingLoop, old: int, new: int, words: str) -> None:
    changes, _ = _in_script(
        reference={"loop": loop, "accumulation_steps": old}, accumulation_steps=new
    )
    of_accumulation = [one for one in changes.values if one.what == "accumulation_steps"]
    said = [one.where for one in of_accumulation] + list(changes.notes[2:])
    assert len(said) == bool(words)
    assert all(words in one for one in said)
    assert all((one.before, one.after) == (str(old), str(new)) for one in of_accumulation)


def test_a_summed_loss_is_not_divided() -> None:
    changes, _ = _in_model_file(b"", batch_semantics=BatchSemantics.SUM)
    assert ": loss.backward() for" in changes.notes[0]


@given(st.integers(1, 1 << 40) | st.floats(1e-300, 1e300))
def test_a_number_is_written_as_all_read_it(value: float) -> None:
    text = number_text(value)
    for read in (ast.literal_eval, json.loads, yaml.safe_load):
        assert type(read(text)) in (int, float)
        assert math.isclose(read(text), value, rel_tol=1e-5)
    assert find_number(f"x = {text}".encode(), float(text), "x") == (4, 4 + len(text))


@given(st.lists(st.sampled_from(["a", "1", "é", "\r", "\n", "\r\n", "\x0c", "\x85"]), min_size=1))
def test_a_diff_gives_the_changed_file(pieces: list[str]) -> None:
    """Applied by hand, since it must hold for whatever bytes there are."""
    content = "".join(pieces).encode()
    at = content.find(b"1")
    if at < 0:
        return
    files = {"f.py": content}
    changed = edited(files, [Edit(file="f.py", begin=at, end=at + 1, text=b"22")])
    assert changed["f.py"] == content[:at] + b"22" + content[at + 1 :]
    body = unified_diff(files, changed).split("\n")[2:]
    assert sum(line.startswith("+") for line in body) == 1
    assert sum(line.startswith("-") for line in body) == 1


def _write(root: Path, content: bytes) -> Path:
    file = root / "model.py"
    file.write_bytes(content)
    return file


@pytest.fixture
def run(daemon: FakeDaemon) -> Callable[..., Result]:
    def invoke(*arguments: Any) -> Result:
        return CliRunner().invoke(
            cli, [str(a) for a in arguments], env={"BSADVISE_ADDRESS": daemon.address}
        )

    return invoke


def test_a_diff_is_applied_by_patch(run: Callable[..., Result], tmp_path: Path) -> None:
    content = _MODEL.replace(b"\n", b"\r\n").rstrip()
    file = _write(tmp_path, content)
    result = run("recommend", file, "-q", "--diff")
    assert result.exit_code == 0, result.stderr
    assert "learning_rate: REFERENCE_LR, model.py:3: 0.01 -> 0.003" in result.stderr
    assert "by hand: accumulate 2 batches" in result.stderr
    assert file.read_bytes() == content
    subprocess.run(
        ["git", "apply", "-"], input=result.stdout_bytes, cwd=tmp_path, check=True,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
    )  # fmt: skip
    by_git = file.read_bytes()
    _write(tmp_path, content)
    assert run("recommend", file, "-q", "--write").exit_code == 0
    assert file.read_bytes() == by_git
    assert by_git.count(b"\r\n") == content.count(b"\r\n")
    assert b"REFERENCE_BATCH_SIZE = 64" in by_git


def test_files_are_written_after_the_answer_and_the_diff(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    real = _write(tmp_path, _MODEL)
    real.chmod(0o640)
    result = run("recommend", real, "-q", "--write", "--output", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["apply"][0]["to"] == "64"
    assert "+REFERENCE_BATCH_SIZE = 64  # of 32\n" in result.stderr
    assert result.stderr.endswith("model.py is written\n")
    assert real.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.glob(".model.py.*")) == []
    again = run("recommend", real, "-q", "--write")
    assert "nothing in the files is to be changed" in again.stderr


def test_a_file_that_changed_meanwhile_is_left_alone(
    run: Callable[..., Result], daemon: FakeDaemon, tmp_path: Path
) -> None:
    file = _write(tmp_path, _MODEL)
    create = recommendation_service_pb2.CreateRecommendationRequest
    for flag in ("--write", "--diff"):
        # It changes once the daemon has been asked.
        def edit_file(request: Any) -> None:
            if isinstance(request, create):
                file.write_bytes(file.read_bytes() + b"# mine\n")

        daemon.requests = _Noticing(edit_file)
        before = file.read_bytes()
        result = run("recommend", file, "-q", flag)
        assert result.exit_code == 2
        assert "has changed since it was sent" in result.stderr
        assert file.read_bytes() == before + b"# mine\n"


class _Noticing(list[Any]):
    def __init__(self, notice: Callable[[Any], None]) -> None:
        super().__init__()
        self._notice = notice

    def append(self, item: Any) -> None:
        super().append(item)
        self._notice(item)


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"1")
    (tmp_path / "b.py").write_bytes(b"changed")
    sent, changed = {"a.py": b"1", "b.py": b"1"}, {"a.py": b"2", "b.py": b"2"}
    with pytest.raises(BsadviseError, match=r"b\.py has changed since it was read"):
        write_files(tmp_path, sent, changed)
    assert (tmp_path / "a.py").read_bytes() == b"1"
    with pytest.raises(BsadviseError, match="cannot be written"):
        write_files(tmp_path, {"gone.py": b""}, {"gone.py": b"2"})


def test_what_a_link_leads_to_is_changed(tmp_path: Path) -> None:
    (tmp_path / "real.py").write_bytes(b"1")
    (tmp_path / "m.py").symlink_to("real.py")
    write_files(tmp_path, {"m.py": b"1"}, {"m.py": b"2"})
    assert (tmp_path / "m.py").is_symlink()
    assert (tmp_path / "real.py").read_bytes() == b"2"


def test_observing_applies_nothing(run: Callable[..., Result], model_file: Path) -> None:
    for flags in (["--observe-only", "--diff"], ["--observe-only", "--write"]):
        assert run("recommend", model_file, *flags).exit_code == 2
    assert run("recommend", model_file, "--diff", "--output", "json").exit_code == 2

"""Numbers are found where code, configuration and command lines say them, and replaced there."""

from __future__ import annotations

from pathlib import Path

import pytest
from bsadvise.model.observation import Quantity

from advisor.worker.scripts.places import Candidate, find_candidates
from advisor.worker.scripts.surroundings import Script, surroundings
from tests.support.scripts import write_script

BATCH, RATE = Quantity.MICRO_BATCH_SIZE, Quantity.LEARNING_RATE


def _found(
    script: Script, quantity: Quantity, value: float, flags: tuple[str, ...] = ()
) -> list[Candidate]:
    return find_candidates(script.source_dir, script.arguments, flags, quantity, value)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("BATCH_SIZE = 64", "BATCH_SIZE"),
        ("batch: int = 64", "batch"),
        ("config.batch_size = 64", "batch_size"),
        ("config['batch_size'] = 64", "batch_size"),
        ("width, batch_size = 3, 64", "batch_size"),
        ("config = {'batch_size': 64}", "batch_size"),
        ("def main(batch_size=64): ...", "batch_size"),
        ("def main(*, batch_size=64): ...", "batch_size"),
        ("loader = DataLoader(data, batch_size=64)", "batch_size"),
        ("loader = torch.utils.data.DataLoader(data, 64)", "batch_size"),
        ("loader = make_loader(data, 64)", "make_loader"),
        ("name = 'größer'; batch_size = 64", "batch_size"),
    ],
)
def test_numbers_in_code_are_found_and_replaced(line: str, name: str, tmp_path: Path) -> None:
    script = write_script(tmp_path, f"# a comment\n{line}\n")
    (candidate,) = _found(script, BATCH, 64)
    assert str(candidate.place) == f"{name}, train.py:2"
    with surroundings(candidate.changed(script, "65")) as copy:
        changed = (copy / "train.py").read_text(encoding="utf-8")
    assert changed == f"# a comment\n{line.replace('64', '65')}\n"


@pytest.mark.parametrize("line", ["flag = True", "text = '1'", "x = 1 + 1", "print(f'{1}')", "def"])
def test_what_is_no_number_with_a_name_is_not_found(line: str, tmp_path: Path) -> None:
    assert _found(write_script(tmp_path, line), BATCH, 1) == []


def test_what_is_named_for_the_value_comes_first(tmp_path: Path) -> None:
    script = write_script(
        tmp_path,
        """
        depth = 16
        valid_batch = 16
        loader = DataLoader(data, batch_size=16)
        BATCH = 16
        """,
    )
    names = [candidate.place.name for candidate in _found(script, BATCH, 16)]
    assert names == ["BATCH", "batch_size", "depth", "valid_batch"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.yaml", "training:\n  lr: 1.0e-3  # peak\n"),
        ("a.json", '{"width": 3, "lr": 1.0e-3}'),
        ("a.toml", "[training]\nlr = 1.0e-3\n"),
        ("a.ini", "[training]\nlr=1.0e-3\n"),
        # A byte of this letter ends a line in Latin-1.
        ("b.yaml", "# \N{LATIN CAPITAL LETTER A WITH RING ABOVE}\nlr: 1.0e-3\n"),
    ],
)
def test_keys_of_configuration_are_found_and_replaced(file: str, text: str, tmp_path: Path) -> None:
    script = write_script(tmp_path, "")
    (script.source_dir / file).write_text(text, encoding="utf-8")
    (candidate,) = _found(script, RATE, 0.001)
    assert candidate.place.name == "lr"
    with surroundings(candidate.changed(script, "0.002")) as copy:
        assert (copy / file).read_text(encoding="utf-8") == text.replace("1.0e-3", "0.002")


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (("--lr", "0.1", "x"), ("--lr", "0.2", "x")),
        (("--lr=0.1",), ("--lr=0.2",)),
        (("model.lr=1e-1",), ("model.lr=0.2",)),
        (("--epochs", "3"), ("--epochs", "3", "--learning-rate", "0.2")),
    ],
)
def test_flags_are_given_as_they_were(
    arguments: tuple[str, ...], changed: tuple[str, ...], tmp_path: Path
) -> None:
    script = write_script(tmp_path, "", *arguments)
    flags = ("--learning-rate",) if "--epochs" in arguments else ()
    (candidate,) = _found(script, RATE, 0.1, flags)
    assert candidate.changed(script, "0.2").arguments == changed


def test_a_flag_that_is_found_twice_is_one(tmp_path: Path) -> None:
    source = 'parser.add_argument("-b", "--batch-size", type=int, default=8)'
    script = write_script(tmp_path, source, "--batch-size", "8")
    (candidate,) = _found(script, BATCH, 8, ("--batch-size",))
    assert candidate.changed(script, "9").arguments == ("--batch-size", "9")

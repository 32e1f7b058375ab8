"""``bsadvise init``: files to begin from, which mean what they say once a # is removed."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from bsadvise.cli.config import load_defaults
from bsadvise.cli.main import cli
from bsadvise.configuration import ADVICE_KEYS
from bsadvise.exports.model_file import model_file
from bsadvise.model.request import EntryKind
from bsadvise.source.entry_kind import entry_kind_of
from click.testing import CliRunner, Result

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "tests" / "scripts").rglob("*.py"))


def init(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["init", *map(str, arguments)])


def test_each_setting_of_the_folders_file_is_one() -> None:
    assert init().exit_code == 0
    text = Path("bsadvise.toml").read_text()
    assert tomllib.loads(text) == {"client": {}}
    whole = re.sub(r"^# (?=[a-z-]+ = )", "", text, flags=re.MULTILINE)
    assert tomllib.loads(whole)["client"].keys() == ADVICE_KEYS
    Path("data").mkdir()
    Path("bsadvise.toml").write_text(whole)
    defaults = load_defaults(None, {}, cli)
    assert defaults.ignored == ()
    # Each value is one that its flag takes; some exclude others.
    recommend = cli.commands["recommend"]
    given = defaults.flags["recommend"]
    for param in recommend.params:
        if param.name in given:
            param.type_cast_value(
                recommend.make_context("r", ["x"], resilient_parsing=True), given[param.name]
            )
    assert given["memory_limit"] == "16GiB"


def test_the_users_file_may_say_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    written = init("--user")
    assert written.stdout == f"{tmp_path}/config/bsadvise/bsadvise.toml is written\n"
    text = (tmp_path / "config" / "bsadvise" / "bsadvise.toml").read_text()
    assert tomllib.loads(text) == {"client": {}}
    assert '# address = "gpu-server:50051"' in text
    assert "# quiet = true" in text


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    script, model = tmp_path / "train.py", tmp_path / "train_model.py"
    script.write_text("print(1)\n")
    Path("bsadvise.toml").write_text("seed = 7\n")
    refused = init()
    assert (refused.exit_code, refused.stderr.count("--force replaces")) == (1, 1)
    beside = init(script)
    assert beside.exit_code == 0
    assert "bsadvise.toml is left as it is" in beside.stderr
    assert Path("bsadvise.toml").read_text() == "seed = 7\n"
    assert model.is_file()
    assert init(script, "--force").stdout.count("is written") == 2
    script.write_text("def broken(:\n")
    broken = init(script, "--force")
    assert (broken.exit_code, "train.py:1:" in broken.stderr) == (2, True)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_any_script_gives_a_model_file(path: Path) -> None:
    try:
        text = model_file(path.read_text(), path.name, f"{path.stem}_model.py")
    except SyntaxError:
        return  # The script is none.
    assert entry_kind_of(ast.parse(text)) is EntryKind.MODEL_FILE


SCRIPT = """\
import argparse
from kit import DataLoader, Module, MSELoss, SGD, Samples

WIDTH = 3


class Net(Module):
    def __init__(self, width, depth=1):
        self.shape = (width, depth, WIDTH)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--depth", default=2)
    args = parser.parse_args()
    count = 10
    samples = Samples(count)
    held_out = DataLoader(Samples(2), 2)
    loader = DataLoader(samples, batch_size=args.batch_size, shuffle=True)
    model = Net(WIDTH, depth=args.depth).to("cuda")
    rate = 0.5
    optimizer = SGD(model.parameters(), lr=rate, momentum=0.9)
    criterion = MSELoss()
    for inputs, targets in loader:
        loss = criterion(model(inputs), targets)


MAIN
"""
KIT = """\
class Module: pass
class DataLoader: pass
class Samples(list):
    def __init__(self, count): super().__init__(range(count))
def SGD(params, lr, momentum): return params, lr, momentum
def MSELoss(): return lambda outputs, targets: (outputs, targets)
"""


@pytest.mark.parametrize("main", ["if __name__ == '__main__':\n    main()", "main()"])
def test_what_a_script_says_is_in_its_model_file(
    main: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kit.py").write_text(KIT)
    script = tmp_path / f"train_{len(main)}.py"
    script.write_text(SCRIPT.replace("MAIN", main))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert init(script).exit_code == 0
    task = runpy.run_path(str(script.with_name(f"{script.stem}_model.py")))
    assert (task["REFERENCE_BATCH_SIZE"], task["REFERENCE_LR"]) == (64, 0.5)
    assert task["build_model"]().shape == (3, 2, 3)
    assert task["build_dataset"]() == list(range(10))
    assert task["build_optimizer"]("p", 0.1) == ("p", 0.1, 0.9)
    assert task["loss_fn"](lambda inputs: inputs + 1, (1, 2)) == (2, 2)


def test_what_a_script_does_not_say_is_left_to_fill_in() -> None:
    text = model_file("net = build(width)\n", "t.py", "t_model.py")
    names: dict[str, object] = {}
    exec(text, names)  # noqa: S102 - what was written just now
    with pytest.raises(NotImplementedError, match="say what build, width is"):
        names["build_model"]()  # type: ignore[operator]
    with pytest.raises(NotImplementedError, match=r"a torch Dataset: t\.py does not say how"):
        names["build_dataset"]()  # type: ignore[operator]


def test_a_file_name_adds_no_code() -> None:
    evil = 'a\nboom = 1\n"""\nboom = 1\n.py'
    text = model_file("lr = 1\nclass Net(Module): pass\nm = Net()\n", evil, evil)
    assert "boom" not in text

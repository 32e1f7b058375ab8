"""A script finds what it finds when its user starts it, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from advisor.worker.scripts.running import Ending, EndingKind
from tests.support.scripts import output_of_bare_run, run_intercepted, write_script

_SHOW = """
    import inspect, os, sys, pickle
    import beside

    class Sample:
        pass

    def main():
        print(sys.argv, __name__, os.path.basename(__file__), __package__, __spec__)
        print(sys.path[0] == os.getcwd() == os.path.dirname(__file__))
        print(beside.value, sys.modules["__main__"].Sample is Sample)
        print(type(pickle.loads(pickle.dumps(Sample()))) is Sample)
        print(inspect.getsource(main).splitlines()[0])

    if __name__ == "__main__":
        main()
"""


def test_a_script_finds_what_it_finds_when_its_user_starts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = write_script(tmp_path, _SHOW, "--lr", "0.1 0.2", beside="value = 7")
    ending = run_intercepted(script)
    assert ending == Ending(kind=EndingKind.RETURNED)
    assert capsys.readouterr().out == output_of_bare_run(script)


def test_what_a_script_changes_goes_with_it(tmp_path: Path) -> None:
    script = write_script(
        tmp_path,
        """
        import os, signal, sys
        import beside
        os.makedirs("runs/one")
        with open(os.path.join(os.path.dirname(__file__), "last.txt"), "w") as file:
            file.write("x")
        os.environ["LEFT"] = "1"
        os.chdir("/")
        sys.argv.append("more")
        sys.path.append("/nowhere")
        sys.stdout = sys.excepthook = None
        signal.signal(signal.SIGUSR2, lambda *_: None)
        """,
        beside="value = 7",
    )
    before = (dict(os.environ), Path.cwd(), list(sys.argv), list(sys.path), sys.stdout)
    main, handler = sys.modules["__main__"], signal.getsignal(signal.SIGUSR2)
    assert run_intercepted(script).kind is EndingKind.RETURNED
    assert before == (dict(os.environ), Path.cwd(), list(sys.argv), list(sys.path), sys.stdout)
    assert sys.modules["__main__"] is main
    assert signal.getsignal(signal.SIGUSR2) is handler
    assert "beside" not in sys.modules
    assert sorted(path.name for path in script.source_dir.rglob("*")) == ["beside.py", "train.py"]


def test_data_that_was_not_sent_is_found_where_it_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, above = tmp_path / "kept" / "data", tmp_path / "kept" / "above"
    for folder in (data, above):
        folder.mkdir(parents=True)
        (folder / "samples.txt").write_text(f"of {folder.name}", encoding="utf-8")
    script = write_script(
        tmp_path,
        """
        from pathlib import Path
        for name in ("data/samples.txt", "data/classes.json", "../above/samples.txt"):
            print(Path(name).read_text())
        Path("data/classes.json").write_text("changed")
        """,
    )
    (data / "classes.json").write_text("as it is", encoding="utf-8")
    # What is small enough to be configuration was sent, and is the copy's to change.
    (script.source_dir / "data").mkdir()
    (script.source_dir / "data" / "classes.json").write_text("as sent", encoding="utf-8")
    paths = {"data": str(data), "../above": str(above)}
    assert run_intercepted(replace(script, data_paths=paths)).kind is EndingKind.RETURNED
    assert capsys.readouterr().out == "of data\nas sent\nof above\n"
    assert (data / "classes.json").read_text(encoding="utf-8") == "as it is"


def test_nothing_is_recorded_elsewhere_and_no_launcher_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    script = write_script(
        tmp_path,
        """
        import os
        print({name: os.environ.get(name) for name in (
            "RANK", "WORLD_SIZE", "SLURM_PROCID", "TORCHELASTIC_RUN_ID", "WANDB_MODE",
            "HF_HUB_OFFLINE",
        )})
        """,
    )
    run_intercepted(script)
    assert capsys.readouterr().out == (
        "{'RANK': None, 'WORLD_SIZE': None, 'SLURM_PROCID': None, 'TORCHELASTIC_RUN_ID': None, "
        "'WANDB_MODE': 'disabled', 'HF_HUB_OFFLINE': '1'}\n"
    )


@pytest.mark.parametrize(
    ("statement", "kind", "exit_code", "message"),
    [
        ("sys.exit()", EndingKind.EXITED, 0, None),
        ("sys.exit(3)", EndingKind.EXITED, 3, "sys.exit(3)"),
        ("sys.exit('loss is nan')", EndingKind.EXITED, 1, "loss is nan"),
        ("raise KeyError('x')", EndingKind.RAISED, 1, "KeyError: 'x'"),
        ("raise KeyboardInterrupt", EndingKind.RAISED, 1, "KeyboardInterrupt"),
    ],
)
def test_how_it_ended_and_where(
    tmp_path: Path, statement: str, kind: EndingKind, exit_code: int, message: str | None
) -> None:
    ending = run_intercepted(write_script(tmp_path, f"import sys\n\n{statement}\n"))
    assert (ending.kind, ending.exit_code) == (kind, exit_code)
    if message is None:
        assert ending.fault is None
        return
    assert ending.fault is not None
    assert message in ending.fault.message
    assert (ending.fault.file, ending.fault.line) == ("train.py", 3)


def test_arguments_that_are_missing_are_asked_for(tmp_path: Path) -> None:
    script = write_script(
        tmp_path,
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--data", required=True)
        args = parser.parse_args()
        """,
    )
    fault = run_intercepted(script).fault
    assert fault is not None
    assert (fault.file, fault.line) == ("train.py", 5)
    assert "after `--`" in str(fault)


def test_a_file_that_is_no_python_ends_as_one_that_raises(tmp_path: Path) -> None:
    ending = run_intercepted(write_script(tmp_path, "for\n"))
    assert ending.kind is EndingKind.RAISED
    assert ending.fault is not None
    assert (ending.fault.file, ending.fault.line) == ("train.py", 1)


def test_memory_that_runs_out_is_told_apart(tmp_path: Path) -> None:
    ending = run_intercepted(write_script(tmp_path, "raise MemoryError"))
    assert ending.memory is not None
    assert ending.memory.is_host

"""A setting in the form of each library: what was trained with, and no word more."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from bsadvise.cli.main import cli
from bsadvise.exports.formats.registry import EXPORTS
from bsadvise.model.advice import Advice, Evidence
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.v1 import measurement_pb2, recommendation_pb2
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import an_advice
from tests.support.fake_server import FakeDaemon, a_script
from tests.support.wire_samples import state_changed, wire_advice

_UNUSED = Caveat(code=CaveatCode.LEARNING_RATE_UNUSED, text="No rate has an effect.")
_SIZE = st.integers(1, 1 << 20)


def _read(name: str, advice: Advice) -> dict[str, Any]:
    """Return the settings as a reader of the text has them."""
    text = EXPORTS[name].render(advice)
    if name == "env":
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines)
    read: dict[str, Any] = yaml.safe_load(text) if EXPORTS[name].has_comments else json.loads(text)
    return read


@settings(max_examples=1000)
@given(_SIZE, _SIZE, st.integers(1, 1 << 12), st.sampled_from(["fp32", "bf16", "fp16"]))
def test_deepspeeds_batch_is_the_product_of_its_factors(
    micro: int, accumulation: int, world: int, precision: str
) -> None:
    advice = an_advice(
        micro_batch_size=micro, accumulation_steps=accumulation, world_size=world,
        effective_batch_size=micro * accumulation * world, precision=precision,
    )  # fmt: skip
    read = _read("deepspeed", advice)
    factors = read["train_micro_batch_size_per_gpu"], read["gradient_accumulation_steps"]
    assert read["train_batch_size"] == factors[0] * factors[1] * world
    assert read["train_batch_size"] == advice.effective_batch_size
    assert factors == (micro, accumulation)
    enabled = {name for name in ("bf16", "fp16") if read.get(name) == {"enabled": True}}
    assert enabled == {precision} - {"fp32"}


@settings(max_examples=200)
@given(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False), st.floats(0, 1), _SIZE, _SIZE
)
def test_every_number_is_read_as_it_was_advised(
    rate: float, decay: float, micro: int, accumulation: int
) -> None:
    advice = an_advice(
        learning_rate=rate, weight_decay=decay, micro_batch_size=micro, momentum=None,
        accumulation_steps=accumulation, effective_batch_size=micro * accumulation, betas=(0.9, 0.5)
    )  # fmt: skip
    optimizer = {"lr": rate, "weight_decay": decay, "betas": [0.9, 0.5]}
    assert _read("accelerate", advice)["optimizer"] == optimizer
    assert _read("composer", advice)["optimizer"] == optimizer
    assert _read("lightning", advice)["model"] == {"learning_rate": rate}
    assert _read("hydra", advice)["learning_rate"] == rate
    assert _read("transformers", advice)["learning_rate"] == rate
    assert float(_read("env", advice)["TRAINING_LEARNING_RATE"]) == rate
    # Composer's loader gives what its trainer cuts.
    assert _read("composer", advice)["dataloader"]["batch_size"] == micro * accumulation
    assert _read("composer", advice)["trainer"]["device_train_microbatch_size"] == micro


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize(
    "changes", [{"caveats": (_UNUSED,)}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}]
)
def test_an_answer_without_a_learning_rate_names_none(name: str, changes: dict[str, Any]) -> None:
    advice = an_advice(**changes)
    text = EXPORTS[name].render(advice)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert not any(word in line.lower() for word in ("lr", "rate:", "_rate") for line in lines)
    assert "learning rate: none advised; keep your own" in EXPORTS[name].remarks(advice)
    assert _read(name, advice)


def test_what_was_not_measured_is_said() -> None:
    advice = an_advice(
        verified=False, lr_evidence=Evidence.RULE, lr_rule="the square root", world_size=2,
        caveats=(Caveat(text="two\r\nlines\x85and\u2028more\x1b[2J"),),
    )  # fmt: skip
    remarks = EXPORTS["hydra"].remarks(advice)
    assert "NOT verified: it was not run" in remarks
    assert "learning rate: by rule, not measured: the square root" in remarks
    assert "for 2 processes, each with a GPU of its own" in remarks
    assert r"caveat: two lines and more\x1b[2J" in remarks
    assert all(f"# {remark}\n" in EXPORTS["hydra"].render(advice) for remark in remarks)


@pytest.mark.parametrize("name", EXPORTS)
def test_text_of_others_is_never_a_setting(name: str) -> None:
    evil = "fp32\nPATH=/tmp; touch owned\n- x: y\u2028a: b"
    advice = an_advice(
        precision=evil, device=evil, lr_rule=evil, lr_evidence=Evidence.RULE,
        caveats=(Caveat(text=evil),),
    )  # fmt: skip
    assert _read(name, advice) == _read(name, an_advice(precision=""))


def test_a_shell_reads_the_variables(tmp_path: Path) -> None:
    file = tmp_path / "advice.env"
    file.write_text(EXPORTS["env"].render(an_advice(betas=(0.9, 0.95), drop_last=True)))
    script = f"set -a; . {shlex.quote(str(file))}; set +a; env"
    shown = subprocess.run(
        ["sh", "-ec", script], capture_output=True, text=True, check=True, env={}
    )
    found = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    assert {name: found[name] for name in found if name.startswith("TRAINING_")} == {
        "TRAINING_MICRO_BATCH_SIZE": "32", "TRAINING_ACCUMULATION_STEPS": "2",
        "TRAINING_WORLD_SIZE": "1", "TRAINING_EFFECTIVE_BATCH_SIZE": "64",
        "TRAINING_LEARNING_RATE": "0.001", "TRAINING_PRECISION": "fp32",
        "TRAINING_DROP_LAST": "true", "TRAINING_BETA1": "0.9", "TRAINING_BETA2": "0.95",
    }  # fmt: skip


@pytest.fixture
def run(daemon: FakeDaemon) -> Callable[..., Result]:
    def invoke(*arguments: Any) -> Result:
        return CliRunner().invoke(
            cli, [str(a) for a in arguments], env={"BSADVISE_ADDRESS": daemon.address}
        )

    return invoke


def test_standard_output_holds_the_export_alone(
    run: Callable[..., Result], model_file: Path
) -> None:
    result = run("recommend", model_file, "-q", "--output", "deepspeed")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["train_batch_size"] == 64
    assert "caveat: Batch norm [3 layers] sees 32 samples, not 64." in result.stderr
    job = run("jobs", "show", "job-1", "--output", "lightning")
    assert job.exit_code == 0, job.stderr
    assert yaml.safe_load(job.stdout)["trainer"]["accumulate_grad_batches"] == 2
    assert "# caveat: Batch norm [3 layers]" in job.stdout
    watched = run("jobs", "watch", "job-1", "-q", "--output", "env")
    assert "TRAINING_MICRO_BATCH_SIZE=32\n" in watched.stdout


def test_where_nothing_is_advised_nothing_is_exported(
    run: Callable[..., Result], daemon: FakeDaemon, model_file: Path
) -> None:
    result = run("recommend", model_file, "--observe-only", "--output", "hydra")
    assert result.exit_code == 2
    assert "--observe-only advises none" in result.stderr
    assert not daemon.requests
    observed = wire_advice(
        coded_caveats=[measurement_pb2.Caveat(code=CaveatCode.OBSERVED_ONLY, text="Nothing tried.")]
    )
    ended = state_changed(recommendation_pb2.STATE_SUCCEEDED, advice=observed)
    daemon.script = a_script(end=ended)
    for command in (("recommend", model_file, "-q"), ("jobs", "show", "job-1")):
        result = run(*command, "--output", "hydra")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "no setting is advised that could be printed as hydra" in result.stderr


def test_other_answers_have_no_exports(run: Callable[..., Result]) -> None:
    assert run("devices", "--output", "hydra").exit_code == 2
    assert run("jobs", "list", "--output", "hydra").exit_code == 2
    assert all(name in run("recommend", "--help").stdout for name in EXPORTS)

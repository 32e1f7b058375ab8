"""Every command against a real server: what is printed, where, and the exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import yaml
from bsadvise.cli.commands import doctor
from bsadvise.cli.main import cli
from bsadvise.cli.render import output
from bsadvise.model.advice import Advice
from bsadvise.model.errors import BsadviseError, DaemonFailed, NotAuthenticated, ServerMissing
from bsadvise.transport import launcher, operations
from bsadvise.v1 import (
    advice_pb2,
    measurement_pb2,
    memory_service_pb2,
    recommendation_pb2,
    recommendation_service_pb2,
)
from click.testing import CliRunner, Result
from google.rpc import code_pb2, status_pb2
from rich.console import Console

from tests.support.fake_server import FakeDaemon, Script, a_script
from tests.support.wire_samples import (
    GIB,
    a_refusal,
    command_started,
    measured,
    state_changed,
    step_run_measurement,
    trial_measurement,
    wire_advice,
    wire_estimate,
)

Run = Callable[..., Result]


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    def invoke(*arguments: Any, **variables: str) -> Result:
        result = CliRunner().invoke(
            cli, [str(a) for a in arguments], env={"BSADVISE_ADDRESS": daemon.address, **variables}
        )
        assert "Traceback" not in result.stderr
        return result

    return invoke


def asked(daemon: FakeDaemon) -> recommendation_pb2.AdviceRequest:
    create = recommendation_service_pb2.CreateRecommendationRequest
    return [r for r in daemon.requests if isinstance(r, create)][-1].request


def refused(code: advice_pb2.RefusalCode.ValueType, **changes: Any) -> Script:
    refusal = a_refusal(code, "Because of this.", **changes)
    return a_script(end=state_changed(recommendation_pb2.STATE_FAILED, refusal=refusal))


def test_recommend_prints_one_json_document(run: Run, model_file: Path) -> None:
    result = run("recommend", model_file, "--output", "json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(document) == {field.name for field in dataclasses.fields(Advice)} | {"apply"}
    assert document["effective_batch_size"] == 64


def test_recommend_prints_yaml(run: Run, model_file: Path) -> None:
    document = yaml.safe_load(run("recommend", model_file, "--output", "yaml").stdout)

    assert document["learning_rate"] == 0.003
    assert document["samples_per_s_interval"] == {"low": 1200.0, "high": 1260.0}


def test_recommend_prints_text_without_colours(run: Run, model_file: Path) -> None:
    result = run("recommend", model_file)

    assert "batch 64 (32 x 2), lr 0.003" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_save_writes_the_form_of_its_suffix(run: Run, model_file: Path, suffix: str) -> None:
    path = model_file.with_name(f"answer.{suffix}")

    result = run("recommend", model_file, "--save", path)

    saved = path.read_text()
    document = json.loads(saved) if suffix == "json" else yaml.safe_load(saved)
    assert document["micro_batch_size"] == 32
    assert "micro_batch_size" in result.stdout


def test_progress_goes_to_stderr_a_line_a_measurement(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(
        command_started(step_run_measurement()),
        measured(step_run_measurement(), best=wire_advice(accumulation_steps=1)),
        measured(trial_measurement(), best=wire_advice()),
    )

    first, second, step, trial, last = run("recommend", model_file).stderr.splitlines()

    assert (first[-6:], second[-7:], last[-9:]) == ("queued", "running", "succeeded")
    assert "memory: running real steps at batch 64 (32 x 2): 12 GiB measured" in step
    assert "best so far batch 32, lr 0.003" in step
    assert "trial 1 (sampler)" in trial
    assert "held-out loss 1.25; best so far batch 64 (32 x 2), lr 0.003" in trial
    assert run("recommend", model_file, "--quiet").stderr == ""


def test_every_flag_reaches_the_request(run: Run, daemon: FakeDaemon, model_file: Path) -> None:
    data = model_file.with_name("data.txt")
    data.write_text("d")
    result = run(
        "recommend", model_file, "--device", "cuda:1", "--memory-limit", "16GiB",
        "--margin", "512MiB", "--gpus", 2, "--effective-batch-size", 64, "--objective", "samples",
        "--target-loss", 0.5, "--budget", "5m", "--trials", 3, "--seed", 7, "--no-cache",
        "--set", "width=8", "--set", "name=a=b", "--include", data, "--request-id", "r-1",
    )  # fmt: skip

    request = asked(daemon)
    assert result.exit_code == 0
    assert request.device == "cuda:1"
    assert request.memory_limit_bytes == 16 * GIB
    assert request.margin_bytes == 512 << 20
    assert request.world_size == 2
    assert request.effective_batch_size == 64
    assert request.objective == recommendation_pb2.OBJECTIVE_SAMPLES
    assert request.target_loss == 0.5
    assert request.budget_s == 300
    assert request.max_trials == 3
    assert request.seed == 7
    assert request.HasField("use_cache")
    assert not request.use_cache
    assert request.build_kwargs == {"width": "8", "name": "a=b"}
    assert daemon.recommendation("job-1").request_id == "r-1"
    assert b"data.txt" in daemon.sources[request.source.digest]


def test_what_is_not_asked_for_is_left_to_the_daemon(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    run("recommend", model_file)

    assert [field.name for field, _ in asked(daemon).ListFields()] == ["source"]


def test_a_budget_may_be_a_share_of_the_stated_training(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    flags = ["--train-for", "90epochs", "--budget"]
    assert run("recommend", model_file, *flags, "5%").exit_code == 0
    assert asked(daemon).budget_share == 0.05
    assert asked(daemon).budget_s == 86_400  # At most a day.
    assert run("recommend", model_file, *flags, "2m").exit_code == 0
    assert not asked(daemon).HasField("budget_share")
    assert asked(daemon).budget_s == 120


def test_the_cost_objective_takes_a_price(run: Run, daemon: FakeDaemon, model_file: Path) -> None:
    flags = ["--objective", "cost", "--device-hour-price", "2.50"]
    assert run("recommend", model_file, *flags).exit_code == 0
    assert asked(daemon).objective == recommendation_pb2.OBJECTIVE_COST
    assert asked(daemon).device_hour_price == 2.5

    Path("bsadvise.toml").write_text('objective = "cost"\n[recommend]\ndevice-hour-price = 3\n')
    assert run("recommend", model_file, BSADVISE_OBJECTIVE="energy").exit_code == 0
    assert asked(daemon).objective == recommendation_pb2.OBJECTIVE_ENERGY
    assert asked(daemon).device_hour_price == 3
    assert run("recommend", model_file, BSADVISE_DEVICE_HOUR_PRICE="0").exit_code == 0
    assert asked(daemon).HasField("device_hour_price")
    assert asked(daemon).device_hour_price == 0


def test_no_trials_asks_for_none(run: Run, daemon: FakeDaemon, model_file: Path) -> None:
    run("recommend", model_file, "--no-trials")

    assert asked(daemon).max_trials == 0
    assert asked(daemon).HasField("max_trials")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["recommend", "absent.py"], "absent.py"),
        (["recommend"], "MODEL"),
        (["recommend", "model.py", "--memory-limit", "lots"], "16GiB"),
        (["recommend", "model.py", "--budget", "soon"], "60s"),
        (["recommend", "model.py", "--budget", "5%"], "such as --train-for 90epochs"),
        (["recommend", "model.py", "--budget", "500%"], "5%"),
        (["recommend", "model.py", "--set", "width"], "NAME=VALUE"),
        (["recommend", "model.py", "--gpus", "0"], "x>=1"),
        (["recommend", "model.py", "--trials", "2", "--no-trials"], "exclude"),
        (["recommend", "model.py", "--objective", "cost"], "such as --device-hour-price 2.50"),
        (["recommend", "model.py", "--device-hour-price", "-1"], "x>=0"),
        (["recommend", "model.py", "--objective", "joy"], "'energy', 'cost'"),
        (["recommend", "model.py", "--save", "answer.txt"], ".yaml"),
        (["recommend", "model.py", "--output", "xml"], "json"),
        (["recommend", "helper.txt"], ".py"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_ends_with_2(
    run: Run, model_file: Path, arguments: list[str], words: str
) -> None:
    model_file.with_name("helper.txt").touch()

    result = run(*arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_a_syntax_error_ends_with_3_before_anything_starts(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    model_file.with_name("helper.py").write_text("def make(:\n")

    result = run("recommend", model_file)

    assert result.exit_code == 3
    assert "helper.py:1:" in result.stderr
    assert "def make(:" in result.stderr
    assert daemon.requests == []


def test_a_fault_of_the_model_file_shows_the_users_frames(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    fault = measurement_pb2.Fault(
        code=measurement_pb2.FAULT_CODE_USER_EXCEPTION,
        message="ValueError: no data",
        file="model.py",
        line=4,
        traceback='  File "model.py", line 4, in build_model\n',
        output="loading ...\n",
    )
    daemon.script = refused(advice_pb2.REFUSAL_CODE_MODEL_FILE, fault=fault)

    result = run("recommend", model_file, "--quiet")

    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr == (
        "bsadvise: model.py:4: Because of this.\n"
        '\n  File "model.py", line 4, in build_model\n'
        "\nIt had printed:\nloading ...\n"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "No such command 'nonsense'; see: bsadvise --help"),
        (["--nonsense"], "No such option '--nonsense'; see: bsadvise --help"),
        (["jobs", "show"], "Missing argument 'ID'; see: bsadvise jobs show --help"),
        (["init", "absent.py"], "see: bsadvise init --help"),
    ],
)
def test_wrong_usage_is_told_in_the_voice_of_all_errors(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(cli, arguments, prog_name="bsadvise")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("bsadvise: ")
    assert result.stderr.endswith(f"{told}\n")
    assert result.stderr.count("\n") == 1


def test_colours_are_left_out_where_that_is_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    colours: list[bool] = []
    made = output.make_console

    def noting(file: IO[str]) -> Console:
        console = made(file)
        colours.append(not console.no_color)
        return console

    monkeypatch.setattr(output, "make_console", noting)
    monkeypatch.delenv("NO_COLOR", raising=False)
    cases: list[tuple[list[str], dict[str, str]]] = [
        (["devices"], {}),
        (["devices", "--no-color"], {}),
        (["--no-color", "devices"], {}),
        (["devices"], {"NO_COLOR": "1"}),
        (["devices"], {"BSADVISE_NO_COLOR": "1"}),
    ]
    for arguments, variables in cases:
        assert run(*arguments, **variables).exit_code == 0
    assert colours == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (advice_pb2.REFUSAL_CODE_NO_FIT, 4),
        (advice_pb2.REFUSAL_CODE_TIMED_OUT, 6),
        (advice_pb2.REFUSAL_CODE_DEVICE, 1),
        (advice_pb2.REFUSAL_CODE_INTERNAL, 1),
    ],
)
def test_a_refusal_is_one_paragraph_and_its_exit_code(
    run: Run,
    daemon: FakeDaemon,
    model_file: Path,
    code: advice_pb2.RefusalCode.ValueType,
    exit_code: int,
) -> None:
    daemon.script = refused(code)

    result = run("recommend", model_file, "--quiet")

    assert result.exit_code == exit_code
    assert result.stderr == "bsadvise: Because of this.\n"


def test_nobody_at_the_address_ends_with_5(
    run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_RETRY_S", 0.1)

    result = run("recommend", model_file, "--address", "127.0.0.1:1")

    assert result.exit_code == 5
    assert "no daemon answers at 127.0.0.1:1" in result.stderr


def test_cancelled_with_nothing_to_say_ends_with_6(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = (state_changed(recommendation_pb2.STATE_CANCELLED),)

    assert run("recommend", model_file).exit_code == 6


def test_a_wrong_field_that_only_the_daemon_knows_ends_with_2(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    wrong = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="device: no such card")
    daemon.failures["CreateRecommendationRequest"] = [wrong]

    result = run("recommend", model_file, "--device", "z9000")

    assert result.exit_code == 2
    assert "no such card" in result.stderr


def test_a_defect_of_ours_is_told_without_its_traceback(
    run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bsadvise.cli.commands.applying.advice_view", lambda *_, **__: 1 / 0)

    result = run("recommend", model_file, "--quiet")

    assert result.exit_code == 1
    assert "ZeroDivisionError" in result.stderr
    debugged = run("recommend", model_file, "--quiet", BSADVISE_DEBUG="1")
    assert isinstance(debugged.exception, ZeroDivisionError)


def test_estimate(run: Run, daemon: FakeDaemon, model_file: Path) -> None:
    result = run("estimate", model_file, "--device", "a100-80gb", "--output", "json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["max_micro_batch_size"] == 48
    assert document["points"][1]["peak_bytes"] == 20 * GIB
    assert set(document["parts"]) == set(measurement_pb2.MemoryParts.DESCRIPTOR.fields_by_name)
    assert any(isinstance(r, memory_service_pb2.EstimateMemoryRequest) for r in daemon.requests)
    text = run("estimate", model_file).stdout
    assert "micro-batch 48 fits" in text
    assert "predicted, not run" in text
    assert "too large" in text


def test_an_estimate_by_which_nothing_fits_ends_with_4(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.estimate = wire_estimate(max_micro_batch_size=0)

    result = run("estimate", model_file, "--output", "json")

    assert result.exit_code == 4
    assert json.loads(result.stdout)["max_micro_batch_size"] == 0
    assert "not even one sample" in result.stderr


def test_estimates_of_several_devices_are_a_table(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    devices = ["--device", "l4", "--device", "a100-80gb", "--device", "l4"]
    result = run("estimate", model_file, *devices, "--output", "json")

    document = json.loads(result.stdout)
    assert list(document) == ["l4", "a100-80gb"]
    assert document["l4"]["max_micro_batch_size"] == 48
    sent = [r for r in daemon.requests if isinstance(r, memory_service_pb2.EstimateMemoryRequest)]
    assert [request.request.device for request in sent] == ["l4", "a100-80gb"]
    text = run("estimate", model_file, *devices).stdout
    assert "largest micro-batch" in text
    assert text.count("A GPU") == 2


def test_an_estimate_says_whether_a_batch_fits(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    fits = run("estimate", model_file, "--batch", "8", "--gpus", "4")
    assert fits.exit_code == 0
    assert "micro-batch 8 fits" in fits.stdout
    sent = daemon.requests[-1]
    assert isinstance(sent, memory_service_pb2.EstimateMemoryRequest)
    assert (sent.request.effective_batch_size, sent.request.world_size) == (32, 4)
    misfit = run("estimate", model_file, "--batch", "64")
    assert misfit.exit_code == 4
    assert "micro-batch 64 does not fit" in misfit.stdout
    assert "micro-batch 64 does not fit in 16 GiB on A GPU" in misfit.stderr
    several = run("estimate", model_file, "--batch", "64", "--device", "l4", "--device", "t4")
    assert several.exit_code == 4
    assert "20 GiB" in several.stdout


def test_an_estimate_names_what_would_make_room(
    run: Run, daemon: FakeDaemon, model_file: Path
) -> None:
    gain = advice_pb2.LeverGain(
        lever=measurement_pb2.LEVER_CHECKPOINTING, max_micro_batch_size=160, saved_bytes=9 * GIB
    )
    daemon.estimate = wire_estimate(levers=[gain], typical_peak_bytes=3 * GIB)
    text = run("estimate", model_file).stdout
    assert "gradient checkpointing" in text
    assert "160" in text
    assert "9 GiB" in text
    assert "usual samples" in text
    document = json.loads(run("estimate", model_file, "--output", "json").stdout)
    assert document["levers"][0]["lever"] == "checkpointing"


def test_devices(run: Run) -> None:
    document = json.loads(run("devices", "--output", "json").stdout)

    assert [device["kind"] for device in document["devices"]] == ["cuda", "cpu"]
    text = run("devices").stdout
    assert "cuda:0" in text
    assert "80 GiB" in text
    assert "60 GiB" in text


def test_jobs_are_listed_and_shown(run: Run, daemon: FakeDaemon) -> None:
    first, second = daemon.seed(a_script(), refused(advice_pb2.REFUSAL_CODE_NO_FIT))

    listed = json.loads(run("jobs", "list", "--output", "json").stdout)["recommendations"]
    assert [job["recommendation_id"] for job in listed] == [second, first]
    text = run("jobs", "list").stdout
    assert "succeeded" in text
    assert "failed" in text
    shown = run("jobs", "show", first, "--log").stdout
    assert "running real steps at batch 64 (32 x 2): 12 GiB measured (1.5 s)" in shown
    assert "effective_batch_size  64" in shown
    assert "no_fit: Because of this." in run("jobs", "show", second).stdout
    document = json.loads(run("jobs", "show", first, "--log", "-o", "json").stdout)
    assert document["state"] == "succeeded"
    assert document["measurements"][0]["outcome"] == {"step_run": {"peak_bytes": 12 * GIB}}


def test_an_empty_list_says_so(run: Run) -> None:
    assert run("jobs", "list").stdout == "There are none.\n"


def test_jobs_watch_ends_with_the_answer(run: Run, daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script())

    assert json.loads(run("jobs", "watch", job_id, "-o", "json").stdout)["micro_batch_size"] == 32


def test_jobs_cancel_and_delete(run: Run, daemon: FakeDaemon) -> None:
    running, ended = daemon.seed(a_script()[:2], a_script())

    assert run("jobs", "delete", running).exit_code == 1
    assert run("jobs", "cancel", running).exit_code == 0
    assert daemon.recommendation(running).cancel_requested
    assert run("jobs", "delete", ended).exit_code == 0
    assert ended not in daemon.jobs
    missing = run("jobs", "show", ended)
    assert missing.exit_code == 1
    assert ended in missing.stderr


def test_doctor_finds_a_daemon_and_its_driver(run: Run, daemon: FakeDaemon) -> None:
    result = run("doctor", "--address", daemon.address)
    assert re.search(r"sandbox +(ok|note) +(namespaces|landlock|bwrap|off)", result.output)

    assert result.exit_code == 0
    for word in ("python", "server extra", "torch", "cache", "gpu driver", "570.00: A GPU"):
        assert word in result.stdout


def test_doctor_ends_with_1_when_no_daemon_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_RETRY_S", 0.1)

    result = run("doctor", "--address", "127.0.0.1:1")

    assert result.exit_code == 1
    assert "wrong" in result.stdout
    assert "fix: start one there with bsadvise serve" in result.stdout


def test_doctor_has_a_fix_for_each_place_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path / "run" / "bsadvise" / "bsadvise.sock"
    stale.parent.mkdir(parents=True)
    stale.touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    (tmp_path / "cache").touch()
    assert doctor._check_socket().fix.endswith(f"rm {stale}")
    assert "XDG_CACHE_HOME" in doctor._check_cache().fix
    for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    for check in (doctor._check_socket(), doctor._check_cache()):
        assert check.verdict is doctor.Verdict.WRONG
        assert "set HOME" in check.fix
    for error in (BsadviseError(""), NotAuthenticated(""), ServerMissing(""), DaemonFailed("")):
        assert doctor._daemon_fix(error)
    with pytest.raises(ValueError, match="no fix"):
        doctor.Check("a place", doctor.Verdict.WRONG, "is wrong")


def test_doctor_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_SERVER_PACKAGES", ("no_such_package",))

    result = run("doctor", BSADVISE_ADDRESS="")

    assert result.exit_code == 1
    assert "pip install 'bsadvise[server]'" in result.stdout


def test_serve_becomes_the_daemon(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command))

    assert run("serve", "--help", "--socket", "/run/x").exit_code == 0
    assert became == [[sys.executable, "-P", "-m", "advisor", "--help", "--socket", "/run/x"]]


def test_serve_hands_the_file_of_settings_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command))
    path = tmp_path / "other.toml"
    path.write_text("[daemon]\nlease_s = 3\n")

    assert run("--config", path, "serve", "--check").exit_code == 0
    assert became == [[sys.executable, "-P", "-m", "advisor", "--config", str(path), "--check"]]


def test_serve_without_the_server_extra_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_SERVER_PACKAGES", ("no_such_package",))

    result = run("serve")

    assert result.exit_code == 1
    assert "pip install 'bsadvise[server]'" in result.stderr

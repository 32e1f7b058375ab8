"""The answer as people read it: the facts, and what each rests on."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from bsadvise.cli.render.output import WIDTH, make_console
from bsadvise.cli.render.panel import Board
from bsadvise.cli.render.standing import Standing
from bsadvise.cli.render.views import advice_view
from bsadvise.model.advice import Advice, RuleOfThumb, ScriptCheck
from bsadvise.model.commands import RunScript, stage_of
from bsadvise.model.horizon import LearningRateSchedule, TrainingHorizon
from bsadvise.model.measurements import Measurement
from bsadvise.model.observation import (
    ObservationEnd,
    Place,
    PlacedValue,
    PlaceKind,
    Quantity,
    ScriptRun,
)
from bsadvise.model.recommendation import Event, Waiting
from bsadvise.model.task import BatchSemantics
from bsadvise.phrases import describe_command, describe_outcome, describe_waiting
from bsadvise.v1 import advice_pb2, measurement_pb2, recommendation_pb2
from bsadvise.wire.messages import from_message
from rich.console import RenderableType

from tests.support.wire_samples import (
    command_started,
    measured,
    state_changed,
    step_run_measurement,
    trial_measurement,
    wire_advice,
    wire_measurement,
    wire_rule_advice,
)


def printed(view: RenderableType) -> str:
    file = io.StringIO()
    make_console(file).print(view)
    return file.getvalue()


def text_of(message: advice_pb2.Advice) -> str:
    text = printed(advice_view(from_message(message, Advice), "model.py"))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    # Lines are broken where the width ends; facts are looked for whatever the breaks.
    return " ".join(text.split())


@pytest.mark.parametrize(
    "fact",
    [
        "batch 64 (32 x 2), lr 0.003 for model.py on A GPU",
        "micro_batch_size 32",
        "accumulation_steps 2",
        "effective_batch_size 64",
        "learning_rate 0.003",
        "warmup_steps 200",
        "betas 0.9, 0.95",
        "precision bf16",
        "num_workers 4",
        "drop_last True",
        "data order as stored, gradients vary 12.3 x as much between batches as shuffled",
        "verification verified in a fresh process",
        "confidence high",
        "learning rate measured in trials memory",
        "peak 12 GiB measured of 16 GiB budget (75%); 11 GiB had been predicted",
        "48 samples fit in the budget",
        "1,234 samples/s (80 %: 1,200 to 1,260), 51.9 ms a step,",
        "41.5 s an epoch of 781 steps, loading included",
        "1.83 x (80 %: 1.5 to 2.1) over the reference recipe",
        "96 samples (80 %: 70 to 130); critical batch 96",
        "energy 412 W a device while steps are computed, 4.75 Wh an epoch",
        "cost 0.0288 an epoch, at the price given for a device-hour",
        "Batch norm [3 layers] sees 32 samples, not 64.",
        "leanest memory 8 8 64 0.003 4 GiB - 1.4 x -",
        "By published rules, not run",
        "weight_decay 0.02 (trained with 0.01): keeps the time scale (AdamW, arXiv 2405.13698)",
        "norm 1.25 (median), 2 (90th percentile) at batch 32; if you clip, at 1.8",
        "Rules of thumb for the batch, not the advice 32 a good default 120 0.2 % of the",
        "measured for 38.2 s",
        "5 traces, 9 real runs of 1,234 samples, 0 out of memory",
        "12, 7 of them stopped early",
    ],
)
def test_an_answer_tells(fact: str) -> None:
    assert fact in text_of(wire_advice())


@pytest.mark.parametrize(
    "fact",
    [
        "batch 16, lr 0.05 for model.py on a100-80gb",
        "NO: this setting was not run",
        "confidence low",
        "rule, not measured",
        "peak 40 GiB predicted of 80 GiB budget (50%)",
        "throughput not measured",
    ],
)
def test_an_answer_by_rule_says_so(fact: str) -> None:
    assert fact in text_of(wire_rule_advice())


def test_what_is_not_known_is_left_out() -> None:
    text = text_of(wire_rule_advice())

    for word in (
        "momentum",
        "betas",
        "speedup",
        "noise scale",
        "energy",
        "cost",
        "Caveats",
        "Alternatives",
        "None",
    ):
        assert word not in text
    for word in ("num_workers", "drop_last", "data order"):
        assert word not in text
    for word in ("By published rules", "gradients", "clip", "Rules of thumb"):
        assert word not in text


def test_a_schedule_and_replicas_are_shown() -> None:
    text = text_of(
        wire_advice(
            world_size=4,
            effective_batch_size=256,
            batch_schedule=[
                advice_pb2.BatchStage(from_epoch=0, effective_batch_size=128),
                advice_pb2.BatchStage(from_epoch=2.5, effective_batch_size=256),
            ],
        )
    )

    assert "batch 256 (32 x 2 x 4)" in text
    assert "128 from epoch 0, 256 from epoch 2.5" in text


def test_an_answer_from_the_cache_says_so() -> None:
    assert "from cache" not in text_of(wire_advice())
    assert "from cache" in text_of(wire_advice(search=advice_pb2.Search(cache_hit=True)))


@pytest.mark.parametrize(
    ("measurement", "stage", "what", "outcome"),
    [
        (
            wire_measurement(
                inspect_task=measurement_pb2.InspectTask(time_limit_s=9),
                task_profile=measurement_pb2.TaskProfile(
                    model_name="Net",
                    parameter_count=1_200_000,
                    trainable_parameter_count=20_000,
                    dataset_size=50_000,
                    optimizer=measurement_pb2.OptimizerProfile(
                        optimizer_name="AdamW", family=measurement_pb2.OPTIMIZER_FAMILY_ADAM
                    ),
                ),
            ),
            "inspect",
            "loading model and data",
            "Net, 1,200,000 parameters (20,000 trainable), AdamW, 50,000 samples",
        ),
        (
            wire_measurement(
                trace_memory=measurement_pb2.TraceMemory(micro_batch_size=8, accumulation_steps=1),
                memory_trace=measurement_pb2.MemoryTrace(
                    peak_bytes=1 << 20, parts=measurement_pb2.MemoryParts()
                ),
            ),
            "memory",
            "a step's memory at batch 8",
            "1 MiB predicted",
        ),
        (
            wire_measurement(
                time_steps=measurement_pb2.TimeSteps(micro_batch_size=8),
                step_times=measurement_pb2.StepTimes(step_times_s=[0.01, 0.03, 0.02]),
            ),
            "throughput",
            "timing steps at batch 8",
            "20 ms a step",
        ),
        (
            wire_measurement(
                time_loader=measurement_pb2.TimeLoader(batch_size=8),
                loader_times=measurement_pb2.LoaderTimes(batch_size=8, batch_times_s=[0.5]),
            ),
            "throughput",
            "timing the data loader at batch 8",
            "500 ms a batch",
        ),
        (
            wire_measurement(
                time_loader=measurement_pb2.TimeLoader(batch_size=8, num_workers=6),
                loader_times=measurement_pb2.LoaderTimes(
                    batch_size=8, batch_times_s=[0.5], processor_time_per_batch_s=0.02
                ),
            ),
            "throughput",
            "timing the data loader at batch 8 with 6 worker(s)",
            "500 ms a batch, 20 ms of processor time",
        ),
        (
            wire_measurement(
                train=measurement_pb2.Train(
                    micro_batch_size=4, accumulation_steps=4, learning_rate=0.1
                ),
                train_run=measurement_pb2.TrainRun(step_count=5, diverged=True),
            ),
            "reference",
            "training the reference recipe, batch 16 (4 x 4), lr 0.1",
            "diverged after 5 steps",
        ),
        (
            trial_measurement(),
            "trials",
            "trial 1 (sampler), rung 1, batch 64 (32 x 2), lr 0.003",
            "held-out loss 1.25",
        ),
        (
            wire_measurement(
                train=measurement_pb2.Train(
                    micro_batch_size=64,
                    accumulation_steps=1,
                    learning_rate=0.01,
                    trial=9,
                    complete_number=3,
                    stated_share=1 / 64,
                ),
                train_run=measurement_pb2.TrainRun(step_count=5, held_out_loss=1.25),
            ),
            "trials",
            "complete training 3, 1/64 of the length, batch 64, lr 0.01",
            "held-out loss 1.25",
        ),
        (
            wire_measurement(
                train=measurement_pb2.Train(
                    micro_batch_size=64,
                    accumulation_steps=1,
                    learning_rate=0.01,
                    trial=9,
                    complete_number=3,
                    stated_share=1.001,
                ),
                train_run=measurement_pb2.TrainRun(step_count=5, held_out_loss=1.25),
            ),
            "trials",
            "complete training 3, all of the length, batch 64, lr 0.01",
            "held-out loss 1.25",
        ),
        (
            wire_measurement(
                train=measurement_pb2.Train(
                    micro_batch_size=64,
                    accumulation_steps=1,
                    learning_rate=0.01,
                    trial=9,
                    stated_share=0.01,
                ),
                train_run=measurement_pb2.TrainRun(step_count=5, held_out_loss=1.25),
            ),
            "trials",
            "first steps of the stated training, 1/100 of the length, batch 64, lr 0.01",
            "held-out loss 1.25",
        ),
        (
            wire_measurement(
                evaluate=measurement_pb2.Evaluate(), evaluation=measurement_pb2.Evaluation()
            ),
            "reference",
            "measuring the held-out loss",
            "no finite loss",
        ),
        (
            wire_measurement(
                range_test=measurement_pb2.RangeTest(
                    smallest_learning_rate=1e-6, largest_learning_rate=1.0
                ),
                range_run=measurement_pb2.RangeRun(
                    learning_rates=[0.25, 0.5], train_losses=[2.0, 9.0], diverged=True
                ),
            ),
            "reference",
            "testing learning rates from 1e-6 to 1",
            "diverged by lr 0.5",
        ),
        (
            wire_measurement(
                range_test=measurement_pb2.RangeTest(
                    smallest_learning_rate=1e-6, largest_learning_rate=1.0
                ),
                range_run=measurement_pb2.RangeRun(
                    learning_rates=[0.25, 0.5], train_losses=[2.0, 9.0]
                ),
            ),
            "reference",
            "testing learning rates from 1e-6 to 1",
            "stable up to lr 0.5",
        ),
        (
            wire_measurement(
                compare_orders=measurement_pb2.CompareOrders(batch_size=8, batch_count=16),
                order_comparison=measurement_pb2.OrderComparison(
                    stored=measurement_pb2.GradientNorms(small_batch_size=8, big_batch_size=128),
                    shuffled=measurement_pb2.GradientNorms(small_batch_size=8, big_batch_size=128),
                ),
            ),
            "reference",
            "comparing stored and shuffled batches of 8",
            "gradients of both compared",
        ),
        (
            wire_measurement(
                compare_orders=measurement_pb2.CompareOrders(batch_size=8, batch_count=16),
                order_comparison=measurement_pb2.OrderComparison(),
            ),
            "reference",
            "comparing stored and shuffled batches of 8",
            "no gradients to compare",
        ),
        (
            wire_measurement(
                verify=measurement_pb2.Verify(
                    micro_batch_size=4, accumulation_steps=1, learning_rate=1e-4
                ),
                verification=measurement_pb2.Verification(step_count=3, peak_bytes=1 << 30),
            ),
            "verify",
            "running the recommended setting, batch 4, lr 1e-4",
            "3 steps run, 1 GiB measured",
        ),
        (
            wire_measurement(
                run_step=measurement_pb2.RunStep(micro_batch_size=4, accumulation_steps=1),
                out_of_memory=measurement_pb2.OutOfMemory(message="no", is_host=True),
            ),
            "memory",
            "running real steps at batch 4",
            "out of memory (the machine's)",
        ),
        (
            wire_measurement(
                run_step=measurement_pb2.RunStep(micro_batch_size=4, accumulation_steps=1),
                failed=measurement_pb2.Failed(
                    fault=measurement_pb2.Fault(
                        code=measurement_pb2.FAULT_CODE_USER_EXCEPTION,
                        message="It raised.",
                        hook="loss_fn",
                        file="m.py",
                        line=3,
                        fix="Mend it.",
                    )
                ),
            ),
            "memory",
            "running real steps at batch 4",
            "failed: m.py:3: in loss_fn: It raised. Mend it.",
        ),
        (
            wire_measurement(
                run_step=measurement_pb2.RunStep(micro_batch_size=4, accumulation_steps=1),
                timed_out=measurement_pb2.TimedOut(limit_s=30, hook="build_dataset"),
            ),
            "memory",
            "running real steps at batch 4",
            "stopped after 30 s in build_dataset",
        ),
    ],
)
def test_a_measurement_in_words(
    measurement: measurement_pb2.Measurement, stage: str, what: str, outcome: str
) -> None:
    found = from_message(measurement, Measurement)

    assert stage_of(found.command) == stage
    assert describe_command(found.command) == what
    assert describe_outcome(found.outcome) == outcome


def event(sequence: int, happening: recommendation_pb2.Happening) -> Event:
    return from_message(
        recommendation_pb2.Event(sequence=sequence, at_s=sequence, happening=happening), Event
    )


def test_where_a_recommendation_stands() -> None:
    standing = Standing()
    standing.take(event(1, state_changed(recommendation_pb2.STATE_RUNNING)))
    standing.take(event(2, command_started(trial_measurement())))
    assert standing.best_words() == "none yet"
    standing.take(event(3, measured(trial_measurement(), best=wire_advice())))
    standing.take(event(4, measured(step_run_measurement())))

    assert standing.doing.startswith("trial 1 (sampler), rung 1, batch 64")
    assert standing.best_words() == "batch 64 (32 x 2), lr 0.003"
    assert standing.count_words() == "2 measured, trials: 12 (7 stopped early)"


def test_who_is_next_and_need_not_wait_is_told_no_place() -> None:
    def words(position: int, wait_s: float) -> str:
        waiting = Waiting(position=position, expected_start_at_s=100.0 + wait_s)
        return describe_waiting(waiting, 100.0)

    assert words(1, 0) == words(1, -5) == "waiting for the device"
    assert words(1, 60) == "waiting for the device: number 1, at most about 60 s"
    assert words(2, 0) == "waiting for the device: number 2"


def test_the_live_board_counts_down() -> None:
    now_s = 100.0
    board = Board(clock=lambda: now_s)
    board.show(event(1, command_started(step_run_measurement())))
    board.show(event(2, measured(step_run_measurement(), best=wire_advice())))
    first = printed(board)
    now_s += 5
    second = printed(board)
    now_s += 50

    assert "memory: running real steps at batch 64 (32 x 2)" in first
    assert "best so far  batch 64 (32 x 2), lr 0.003" in first
    assert "time left    at most 21 s" in first
    assert "at most 16 s" in second
    assert "finishing" in printed(board)


@pytest.mark.parametrize(
    ("semantics", "words"),
    [
        (BatchSemantics.SUM, "loss of a batch the sum over its samples"),
        (BatchSemantics.COUPLED, "loss of a batch of its samples together"),
        (BatchSemantics.unknown(99), "loss of a batch unknown(99)"),
    ],
)
def test_a_loss_that_is_no_mean_is_shown(semantics: BatchSemantics, words: str) -> None:
    advice = replace(from_message(wire_advice(), Advice), batch_semantics=semantics)
    assert words in " ".join(printed(advice_view(advice, "model.py")).split())


@pytest.mark.parametrize("semantics", [None, BatchSemantics.MEAN])
def test_the_usual_mean_is_not(semantics: BatchSemantics | None) -> None:
    advice = replace(from_message(wire_advice(), Advice), batch_semantics=semantics)
    assert "loss of a batch" not in printed(advice_view(advice, "model.py"))


def test_what_fits_beyond_the_data_set_is_said_to() -> None:
    advice = from_message(wire_advice(), Advice)
    words = {
        size: " ".join(printed(advice_view(replace(advice, dataset_size=size), "model.py")).split())
        for size in (None, advice.max_micro_batch_size, advice.max_micro_batch_size - 1)
    }
    said = [size for size, text in words.items() if "; the data set has" in text]
    assert said == [advice.max_micro_batch_size - 1]


@pytest.mark.parametrize(
    ("carried_factor", "words"),
    [
        (4.0, "holds for 898 steps (28,736 samples), constant"),
        (
            None,
            "holds for a constant rate, for about as long as trials ran; not measured for 898",
        ),
    ],
)
def test_an_answer_holds_for_the_stated_length_only_if_it_was_carried_there(
    carried_factor: float | None, words: str
) -> None:
    horizon = TrainingHorizon(
        total_steps=898,
        total_samples=28_736,
        schedule=LearningRateSchedule(),
        warmup_steps=0,
        decay_steps=0,
        carried_factor=carried_factor,
        source="request",
    )
    advice = replace(from_message(wire_advice(), Advice), horizon=horizon)
    assert words in " ".join(printed(advice_view(advice, "model.py")).split())


@pytest.mark.parametrize(
    ("carried", "batch", "rate", "words"),
    [
        (120.0, 1.0, 0.5, "carried 120 x: batch x 1, peak rate x 0.5"),
        (1.0, 1.0, 1.0, "trained for just that"),
        (120.0, 1.0, 0.5, "learning rate measured in short complete trainings, and carried x 0.5"),
        (1.0, 1.0, 1.0, "learning rate measured in trainings of this length"),
    ],
)
def test_an_answer_says_how_far_each_part_was_carried(
    carried: float, batch: float, rate: float, words: str
) -> None:
    horizon = TrainingHorizon(
        total_steps=898,
        total_samples=28_736,
        schedule=LearningRateSchedule(),
        warmup_steps=0,
        decay_steps=0,
        carried_factor=carried,
        batch_factor=batch,
        rate_factor=rate,
        source="request",
    )
    advice = replace(from_message(wire_advice(), Advice), horizon=horizon)
    assert words in " ".join(printed(advice_view(advice, "model.py")).split())


@pytest.mark.parametrize(
    ("dataset_size", "is_said"), [(40, True), (64, False), (1_000_000, False), (None, False)]
)
def test_a_power_of_two_that_the_data_set_limits_is_said_to_be(
    dataset_size: int | None, *, is_said: bool
) -> None:
    rule = RuleOfThumb(rule="the largest power of two that fits", effective_batch_size=32)
    advice = replace(
        from_message(wire_advice(), Advice),
        dataset_size=dataset_size,
        max_micro_batch_size=512,
        world_size=1,
        rules_of_thumb=(rule,),
    )
    words = " ".join(printed(advice_view(advice, "model.py")).split())
    assert ("fits, and into the data set of 40" in words) is is_said


def test_what_the_users_own_script_did_is_beside_what_was_predicted() -> None:
    check = ScriptCheck(
        step_count=240,
        predicted_peak_bytes=13 << 27,
        peak_bytes=12 << 27,
        samples_per_s=4100.0,
        predicted_samples_per_s=4300.0,
    )
    advice = replace(from_message(wire_advice(), Advice), script_check=check)
    assert (
        "your own script 240 steps with these values, peak 1.5 GiB (1.625 GiB predicted), "
        "4,100 samples/s (4,300 predicted)"
    ) in " ".join(printed(advice_view(advice, "model.py")).split())


def test_a_run_of_the_users_own_script_is_told_in_a_line() -> None:
    place = Place(quantity=Quantity.LEARNING_RATE, kind=PlaceKind.FLAG, name="--lr")
    command = RunScript(
        time_limit_s=9.0,
        values=(PlacedValue(place=place, before=0.1, after=0.05),),
        step_count=100,
        measure_s=1.0,
    )
    words = "running the script itself, learning_rate 0.05"
    assert describe_command(command) == words
    assert describe_command(replace(command, values=())) == "running the script itself, as it is"
    run = ScriptRun(
        end=ObservationEnd.ENOUGH_STEPS, step_count=9, step_times_s=(0.2,), peak_bytes=1 << 20
    )
    assert describe_outcome(run) == "9 steps run, 200 ms a step, 1 MiB"

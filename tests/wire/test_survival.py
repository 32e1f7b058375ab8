"""Values survive the way to a dictionary, to JSON text and to a message, and back."""

from __future__ import annotations

import json

import pytest
from bsadvise.model.advice import Advice
from bsadvise.model.commands import Train, TrialOrigin
from bsadvise.model.measurements import GradientNorms, Measurement, TrainRun
from bsadvise.model.recommendation import Event, Measured, State, StateChanged
from bsadvise.model.request import AdviceRequest, Objective
from bsadvise.v1 import advice_pb2, measurement_pb2, recommendation_pb2
from bsadvise.wire.messages import to_message
from bsadvise.wire.plain import to_plain, union_to_plain
from hypothesis import given
from hypothesis import strategies as st

from advisor.messages import from_message
from advisor.serialization import from_dict
from tests.support.builders import (
    a_device,
    a_measurement,
    a_recommendation,
    a_request,
    an_advice,
)

_positive = st.floats(1e-9, 1e9)
_counts = st.integers(1, 1 << 40)

_trains = st.builds(
    Train,
    time_limit_s=_positive,
    micro_batch_size=_counts,
    accumulation_steps=st.integers(2, 1 << 20),
    learning_rate=_positive,
    step_count=_counts,
    evaluation_batch_size=_counts,
    start_checkpoint=st.none() | st.text(),
    measure_noise=st.booleans(),
    trial=st.none() | st.integers(0, 100),
    origin=st.none() | st.sampled_from(TrialOrigin),
)
_runs = st.builds(
    TrainRun,
    step_count=_counts,
    sample_count=_counts,
    train_losses=st.lists(st.floats(-1e6, 1e6)).map(tuple),
    held_out_loss=st.none() | st.floats(-1e6, 1e6),
    gradient_norms=st.none()
    | st.builds(
        GradientNorms,
        small_batch_size=st.integers(1, 100),
        big_batch_size=st.integers(101, 200),
        small_squared_norms=st.just((1.0, 2.0)),
        big_squared_norms=st.just((0.5, 1.5)),
        raw_norms=st.sampled_from([(), (0.5, 1.5)]),
    ),
)
_measurements = st.builds(
    Measurement,
    command=_trains,
    outcome=_runs,
    wall_s=_positive,
    mean_power_w=st.none() | st.floats(0, 1e4),
)


@given(measurement=_measurements)
def test_a_measurement_survives_json(measurement: Measurement) -> None:
    text = json.dumps(to_plain(measurement))
    assert from_dict(json.loads(text), Measurement) == measurement


@given(measurement=_measurements)
def test_a_measurement_survives_the_wire(measurement: Measurement) -> None:
    sent = to_message(measurement, measurement_pb2.Measurement()).SerializeToString()
    received = measurement_pb2.Measurement.FromString(sent)
    assert from_message(received, Measurement) == measurement


def test_a_measurement_from_before_power_was_read_still_loads() -> None:
    old = to_plain(a_measurement())
    assert "mean_power_w" not in old
    assert from_dict(old, Measurement).mean_power_w is None
    message = to_message(a_measurement(), measurement_pb2.Measurement())
    assert from_message(message, Measurement).mean_power_w is None


def test_energy_and_cost_survive_the_wire() -> None:
    request = a_request(objective=Objective.COST, device_hour_price=0.0)
    advice = an_advice(mean_power_w=250.0, energy_per_epoch_j=9e4, cost_per_epoch=0.25)
    asked = to_message(request, recommendation_pb2.AdviceRequest())
    answered = to_message(advice, advice_pb2.Advice())
    assert from_message(asked, AdviceRequest) == request
    assert from_message(answered, Advice) == advice
    assert from_message(to_message(an_advice(), advice_pb2.Advice()), Advice) == an_advice()


def test_a_recommendation_survives_the_wire() -> None:
    recommendation = a_recommendation(state=State.SUCCEEDED, advice=an_advice())
    message = to_message(recommendation, recommendation_pb2.Recommendation())
    assert from_message(message, type(recommendation)) == recommendation


def test_an_event_survives_json() -> None:
    event = Event(
        sequence=3, at_s=1.5, happening=StateChanged(state=State.SUCCEEDED, advice=an_advice())
    )
    assert from_dict(json.loads(json.dumps(to_plain(event))), Event) == event


def test_none_is_left_out_and_not_minus_one() -> None:
    assert "index" not in to_plain(a_device(index=None))


def test_a_union_says_which_member_it_is() -> None:
    assert list(union_to_plain(StateChanged(state=State.QUEUED))) == ["state_changed"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"sequence": 1, "at_s": 1.0, "happening": {"nothing": {}}}, "nothing"),
        ({"sequence": 1, "at_s": 1.0, "happening": {}}, "exactly one"),
        ({"sequence": True, "at_s": 1.0, "happening": {}}, "not an integer"),
        ({"sequence": 1, "at_s": 1.0}, "happening"),
    ],
)
def test_what_is_not_a_value_is_refused_with_the_reason(
    data: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_dict(data, Event)


def test_an_unknown_enum_value_is_refused() -> None:
    data = to_plain(a_device())
    data["kind"] = "DEVICE_KIND_UNSPECIFIED"
    with pytest.raises(ValueError, match="DEVICE_KIND_UNSPECIFIED"):
        from_dict(data, type(a_device()))


def test_a_value_that_its_class_refuses_is_refused() -> None:
    data = to_plain(Measured(measurement=_a_measurement()))
    data["measurement"]["wall_s"] = -1.0
    with pytest.raises(ValueError, match="wall_s"):
        from_dict(data, Measured)


def _a_measurement() -> Measurement:
    return Measurement(
        command=Train(
            time_limit_s=1.0,
            micro_batch_size=1,
            accumulation_steps=1,
            learning_rate=0.1,
            step_count=1,
            evaluation_batch_size=1,
        ),
        outcome=TrainRun(step_count=1, sample_count=1, train_losses=()),
        wall_s=1.0,
    )

"""Both clients against a real server: what they do, and what they make of errors."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bsadvise import AsyncClient, Client
from bsadvise.model import errors
from bsadvise.model.recommendation import Event, Measured, State, StateChanged
from bsadvise.transport import operations, rpcs
from bsadvise.transport.effects import Rpc
from bsadvise.v1 import (
    advice_pb2,
    device_service_pb2,
    memory_service_pb2,
    recommendation_pb2,
    recommendation_service_pb2,
    source_service_pb2,
    token_service_pb2,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.support.fake_server import FakeDaemon, Hold, a_script
from tests.support.wire_samples import (
    a_refusal,
    measured,
    state_changed,
    step_run_measurement,
    trial_measurement,
    wire_advice,
)

CreateRequest = recommendation_service_pb2.CreateRecommendationRequest
WatchRequest = recommendation_service_pb2.WatchRecommendationRequest


class Awaited:
    """An AsyncClient whose methods are called as those of a Client are."""

    def __init__(self, address: str, reconnect_s: float) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(address, reconnect_s=reconnect_s)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = getattr(self._client, name)(*arguments, **options)
            return iter(self._drain(result)) if name == "watch" else self._runner.run(result)

        return call

    def _drain(self, events: AsyncIterator[Event]) -> list[Event]:
        async def drain() -> list[Event]:
            return [event async for event in events]

        return self._runner.run(drain())

    def end(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=["blocking", "asyncio"])
def client(request: pytest.FixtureRequest, daemon: FakeDaemon) -> Iterator[Any]:
    if request.param == "blocking":
        with Client(daemon.address, reconnect_s=10) as blocking:
            yield blocking
    else:
        awaited = Awaited(daemon.address, 10)
        yield awaited
        awaited.end()


def status(code: int, message: str, *details: Message) -> status_pb2.Status:
    packed = []
    for detail in details:
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=message, details=packed)


def info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="bsadvise", metadata=metadata)


def test_recommend_uploads_follows_and_answers(
    client: Any, daemon: FakeDaemon, model_file: Path
) -> None:
    events: list[Event] = []
    advice = client.recommend(
        model_file, on_event=events.append, memory_limit_bytes=1 << 30, objective="memory", seed=3,
        build_kwargs={"width": "8"},
    )  # fmt: skip

    assert advice.effective_batch_size == 64
    assert [event.sequence for event in events] == [1, 2, 3, 4]
    asked = next(r for r in daemon.requests if isinstance(r, CreateRequest)).request
    assert asked.memory_limit_bytes == 1 << 30
    assert asked.objective == recommendation_pb2.OBJECTIVE_MEMORY
    assert asked.build_kwargs == {"width": "8"}
    assert not asked.HasField("budget_s")
    assert asked.source.entry_path == "model.py"
    sent = source_service_pb2.SourceBundle.FromString(daemon.sources[asked.source.digest])
    assert [file.path for file in sent.files] == ["helper.py", "model.py"]


def test_a_source_is_sent_once(client: Any, daemon: FakeDaemon, model_file: Path) -> None:
    first, second = client.upload(model_file), client.upload(str(model_file))

    assert first == second
    assert daemon.count(source_service_pb2.UploadSourceRequest) == 1


def test_a_large_source_goes_in_pieces(client: Any, daemon: FakeDaemon, model_file: Path) -> None:
    data = model_file.with_name("data.bin")
    data.write_bytes(bytes(range(256)) * (10 << 10))

    source = client.upload(model_file, include=[data])

    assert len(daemon.sources[source.digest]) > 2 << 20


def test_the_same_request_id_creates_once(
    client: Any, daemon: FakeDaemon, model_file: Path
) -> None:
    made = {
        client.create_recommendation(model_file, request_id="mine").recommendation_id
        for _ in range(2)
    }

    assert len(made) == 1


def test_creating_is_repeated_with_one_request_id_while_nobody_answers(
    client: Any, daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.failures["CreateRecommendationRequest"] = [status(code_pb2.UNAVAILABLE, "later")] * 2

    client.create_recommendation(model_file)

    tried = [r.request_id for r in daemon.requests if isinstance(r, CreateRequest)]
    assert len(tried) == 3
    assert len(set(tried)) == 1
    assert len(daemon.jobs) == 1


def test_deleting_is_not_repeated(client: Any, daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script())
    daemon.failures["DeleteRecommendationRequest"] = [status(code_pb2.UNAVAILABLE, "lost")]

    with pytest.raises(errors.DaemonUnreachable):
        client.delete(job_id)
    assert daemon.count(recommendation_service_pb2.DeleteRecommendationRequest) == 1


def test_reading_and_removing(client: Any, daemon: FakeDaemon) -> None:
    ids = daemon.seed(a_script(), a_script(measured(trial_measurement())), a_script())

    assert [one.recommendation_id for one in client.list()] == ids[::-1]
    assert [one.recommendation_id for one in client.list(2)] == ids[:0:-1]
    assert client.get(ids[0]).state is State.SUCCEEDED
    (measurement,) = client.measurements(ids[1])
    assert measurement.outcome.held_out_loss == 1.25
    client.delete(ids[0])
    with pytest.raises(errors.NotFound, match=ids[0]):
        client.get(ids[0])


def test_a_list_longer_than_a_page_is_read_whole(
    client: Any, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_PAGE_SIZE", 2)
    ids = daemon.seed(*[a_script()] * 5)

    assert [one.recommendation_id for one in client.list()] == ids[::-1]
    assert len(client.list(3)) == 3
    assert daemon.count(recommendation_service_pb2.ListRecommendationsRequest) == 5


def test_devices_and_estimates(client: Any, daemon: FakeDaemon, model_file: Path) -> None:
    assert [device.device_id for device in client.devices()] == ["GPU-1", "cpu"]
    estimate = client.estimate_memory(model_file, device="a100-80gb")

    assert estimate.max_micro_batch_size == 48
    (asked,) = (
        r for r in daemon.requests if isinstance(r, memory_service_pb2.EstimateMemoryRequest)
    )
    assert asked.request.device == "a100-80gb"


def test_watching_begins_after_what_is_known(client: Any, daemon: FakeDaemon) -> None:
    (job_id,) = daemon.seed(a_script())

    assert [event.sequence for event in client.watch(job_id, after_sequence=2)] == [3, 4]


def test_watching_outlives_a_daemon_that_restarts(daemon: FakeDaemon, model_file: Path) -> None:
    held = threading.Event()
    daemon.on_hold = held.set
    daemon.script = a_script(
        measured(step_run_measurement()), Hold(), measured(trial_measurement())
    )
    with Client(daemon.address) as client:
        job_id = client.create_recommendation(model_file).recommendation_id
        events = client.watch(job_id)
        seen = [next(events).sequence for _ in range(3)]
        assert held.wait(timeout=30)
        daemon.stop()
        daemon.start()
        daemon.release()
        seen += [event.sequence for event in events]

    assert seen == [1, 2, 3, 4, 5]
    asked = [r.after_sequence for r in daemon.requests if isinstance(r, WatchRequest)]
    assert asked[0] == 0
    assert asked[-1] == 3


async def test_watching_with_asyncio_outlives_a_daemon_that_restarts(
    daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(measured(step_run_measurement()), Hold())
    async with AsyncClient(daemon.address) as client:
        job_id = (await client.create_recommendation(model_file)).recommendation_id
        seen = []
        async for event in client.watch(job_id):
            seen.append(event.sequence)
            if event.sequence == 3:
                await asyncio.to_thread(daemon.stop)
                await asyncio.to_thread(daemon.start)
                await asyncio.to_thread(daemon.release)

    assert seen == [1, 2, 3, 4]


def test_watching_gives_up_on_a_daemon_that_stays_away(
    daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(Hold())
    with Client(daemon.address, reconnect_s=0.2) as client:
        events = client.watch(client.create_recommendation(model_file).recommendation_id)
        next(events)
        daemon.stop()
        with pytest.raises(errors.DaemonUnreachable, match="no daemon answers"):
            list(events)


def test_leaving_a_watch_early_closes_its_stream(daemon: FakeDaemon, model_file: Path) -> None:
    daemon.script = a_script(Hold())
    with Client(daemon.address) as client:
        job_id = client.create_recommendation(model_file).recommendation_id
        events = client.watch(job_id)
        assert isinstance(next(events).happening, StateChanged)
        events.close()  # type: ignore[attr-defined] # a generator, promised as an iterator
        assert not client.get(job_id).cancel_requested


async def test_a_cancelled_task_cancels_its_recommendation(
    daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(Hold())
    running = asyncio.Event()

    def note(event: Event) -> None:
        if event.sequence == 2:
            running.set()

    async with AsyncClient(daemon.address) as client:
        task = asyncio.create_task(client.recommend(model_file, on_event=note))
        await running.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert daemon.recommendation("job-1").cancel_requested


def test_ctrl_c_while_recommending_cancels(
    client: Any, daemon: FakeDaemon, model_file: Path
) -> None:
    daemon.script = a_script(measured(step_run_measurement(), best=wire_advice()), Hold())

    def interrupt(event: Event) -> None:
        if isinstance(event.happening, Measured):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.recommend(model_file, on_event=interrupt)

    assert daemon.recommendation("job-1").cancel_requested


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (advice_pb2.REFUSAL_CODE_MODEL_FILE, errors.ModelFileError),
        (advice_pb2.REFUSAL_CODE_NO_FIT, errors.NoFitError),
        (advice_pb2.REFUSAL_CODE_TIMED_OUT, errors.TimedOut),
        (advice_pb2.REFUSAL_CODE_DEVICE, errors.DeviceUnavailable),
        (advice_pb2.REFUSAL_CODE_INTERRUPTED, errors.Interrupted),
        (advice_pb2.REFUSAL_CODE_INTERNAL, errors.DaemonError),
    ],
)
def test_a_refusal_is_an_error_of_its_own(
    client: Any,
    daemon: FakeDaemon,
    model_file: Path,
    code: advice_pb2.RefusalCode.ValueType,
    error_class: type[errors.BsadviseError],
) -> None:
    refusal = a_refusal(code, "Because of this.")
    daemon.script = a_script(end=state_changed(recommendation_pb2.STATE_FAILED, refusal=refusal))

    with pytest.raises(error_class, match="Because of this"):
        client.recommend(model_file)


def test_cancelled_with_nothing_to_say(client: Any, daemon: FakeDaemon, model_file: Path) -> None:
    daemon.script = (state_changed(recommendation_pb2.STATE_CANCELLED),)

    with pytest.raises(errors.Cancelled):
        client.recommend(model_file)


@pytest.mark.parametrize(
    ("failure", "error_class", "words"),
    [
        (status(code_pb2.NOT_FOUND, "no such", info("NOT_FOUND")), errors.NotFound, "no such"),
        (status(code_pb2.PERMISSION_DENIED, "not you"), errors.AccessDenied, "not you"),
        (status(code_pb2.INTERNAL, "oops", info("INTERNAL")), errors.DaemonError, "oops"),
        (status(code_pb2.UNIMPLEMENTED, "new"), errors.UnexpectedReply, "new"),
        (status(code_pb2.FAILED_PRECONDITION, "big", info("NO_FIT")), errors.NoFitError, "big"),
        (
            status(code_pb2.FAILED_PRECONDITION, "gone", info("DEVICE")),
            errors.DeviceUnavailable,
            "gone",
        ),
        (
            status(code_pb2.ALREADY_EXISTS, "used", info("REQUEST_ID_REUSED")),
            errors.RequestIdReused,
            "used",
        ),
        (
            status(code_pb2.INVALID_ARGUMENT, "bad", info("SOURCE_REJECTED")),
            errors.SourceUnusable,
            "bad",
        ),
        (
            status(
                code_pb2.FAILED_PRECONDITION,
                "x",
                error_details_pb2.ErrorInfo(reason="NO_FIT", domain="somebody.else"),
            ),
            errors.StillRunning,
            "x",
        ),
    ],
)
def test_a_status_is_an_error_of_its_own(
    client: Any,
    daemon: FakeDaemon,
    failure: status_pb2.Status,
    error_class: type[errors.BsadviseError],
    words: str,
) -> None:
    daemon.failures["ListDevicesRequest"] = [failure]

    with pytest.raises(error_class, match=words) as caught:
        client.devices()
    assert caught.type is error_class
    assert caught.value.__cause__ is not None


def test_every_wrong_field_is_named(client: Any, daemon: FakeDaemon, model_file: Path) -> None:
    wrong = error_details_pb2.BadRequest()
    wrong.field_violations.add(field="budget_s", description="must be above 0")
    wrong.field_violations.add(field="device", description="is unknown")
    daemon.failures["CreateRecommendationRequest"] = [
        status(code_pb2.INVALID_ARGUMENT, "wrong", info("INVALID_REQUEST"), wrong)
    ]

    with pytest.raises(errors.InvalidRequest) as caught:
        client.create_recommendation(model_file)
    assert [v.field for v in caught.value.violations] == ["budget_s", "device"]
    assert "budget_s: must be above 0; device: is unknown" in str(caught.value)


def test_a_fault_of_the_model_file_says_where(
    client: Any, daemon: FakeDaemon, model_file: Path
) -> None:
    where = info("MODEL_FILE", file="model.py", line="4", hook="build_model", fix="Return it.")
    daemon.failures["EstimateMemoryRequest"] = [
        status(code_pb2.FAILED_PRECONDITION, "model.py:4: returned None", where)
    ]

    with pytest.raises(errors.ModelFileError) as caught:
        client.estimate_memory(model_file)
    fault = caught.value.fault
    assert fault is not None
    assert (fault.file, fault.line, fault.hook) == ("model.py", 4, "build_model")


def test_nobody_at_the_address(socket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_RETRY_S", 0.1)
    with Client(str(socket)) as client, pytest.raises(errors.DaemonUnreachable) as caught:
        client.devices()
    assert caught.value.exit_code == 5
    assert str(socket) in str(caught.value)


def test_an_unknown_option_is_a_mistake_of_the_caller(daemon: FakeDaemon, model_file: Path) -> None:
    with Client(daemon.address) as client, pytest.raises(TypeError, match="learning_rat"):
        client.recommend(model_file, learning_rat=1)  # type: ignore[call-arg]


def test_a_client_can_be_used_again_after_closing(daemon: FakeDaemon) -> None:
    client = Client(daemon.address)
    for _ in range(2):
        assert client.devices()
        client.close()
    assert daemon.count(device_service_pb2.ListDevicesRequest) == 2


def _public(cls: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(item)
        for name, item in vars(cls).items()
        if inspect.isfunction(item) and not name.startswith("_")
    }


def test_the_twins_have_the_same_methods() -> None:
    blocking, awaited = _public(Client), _public(AsyncClient)

    assert {name: list(s.parameters.values()) for name, s in blocking.items()} == {
        name: list(s.parameters.values()) for name, s in awaited.items()
    }
    for name, signature in blocking.items():
        returned = str(signature.return_annotation).replace("Iterator", "AsyncIterator")
        assert returned == str(awaited[name].return_annotation), name


def test_each_call_is_a_method_of_the_contract() -> None:
    services = {
        f"/{service.full_name}/{method.name}": method.output_type
        for module in (
            recommendation_service_pb2, source_service_pb2, memory_service_pb2, device_service_pb2,
            token_service_pb2,
        )
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }  # fmt: skip
    used = {
        rpc.path: rpc.reply_type.DESCRIPTOR for rpc in vars(rpcs).values() if isinstance(rpc, Rpc)
    }

    assert used == services

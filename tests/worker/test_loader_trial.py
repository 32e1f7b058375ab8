"""A real loader is timed, what is planned of it is tried, and the answer says what came of it."""

from __future__ import annotations

import pytest
from bsadvise.model.commands import Command, InspectTask, TimeLoader, TimeSteps

from advisor.planning.data.loader_findings import about_loader
from advisor.planning.data.loading import loader_bottleneck, next_loader_trial
from advisor.planning.evidence.log_view import LogView
from advisor.planning.evidence.split import Split
from tests.support.builders import a_device, a_measurement, a_request
from tests.support.worker_bench import LIMIT_S, Bench

pytestmark = pytest.mark.timing

SIZE = 8
SPLIT = Split(SIZE, 1, 1)
MODEL = """
    import fcntl, time
    import torch

    NUM_WORKERS = 1

    class Indexed(torch.utils.data.Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, index):
            {read}
            return torch.ones(4), torch.ones(1)

    class Streamed(torch.utils.data.IterableDataset):
        def __iter__(self):
            return map(Indexed().__getitem__, range(64))

    class Slow(torch.nn.Linear):
        def forward(self, batch):
            time.sleep(0.02)
            return super().forward(batch)

    def build_model():
        return Slow(4, 1)

    def build_dataset():
        return {kind}()
"""
WAIT = "time.sleep(0.01)"
WAIT_FOR_ONE_ANOTHER = """
            with open("lock", "a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("kind", "read", "is_advised", "words"),
    [
        ("Indexed", WAIT, True, "which was tried, loading takes"),
        ("Indexed", WAIT_FOR_ONE_ANOTHER, False, "the workers wait for one another."),
        ("Streamed", WAIT, False, "each worker reads the whole stream"),
    ],
)
def test_more_processes_are_advised_where_they_help(
    bench: Bench, *, kind: str, read: str, is_advised: bool, words: str
) -> None:
    bench.write(MODEL.format(kind=kind, read=read))
    worker = bench.worker()
    view = LogView(a_request(), (a_device(),), ())

    def carry_out(command: Command | None) -> None:
        nonlocal view
        assert command is not None
        entry = a_measurement(command, worker.execute(command))
        view = LogView(view.request, view.devices, (*view.log, entry))

    carry_out(InspectTask(time_limit_s=LIMIT_S))
    carry_out(TimeSteps(time_limit_s=LIMIT_S, micro_batch_size=SIZE, measure_s=0.01))
    carry_out(TimeLoader(time_limit_s=LIMIT_S, batch_size=SIZE, measure_s=0.01))
    carry_out(next_loader_trial(view, SPLIT))
    assert next_loader_trial(view, SPLIT) is None
    found, told = loader_bottleneck(view, SPLIT), about_loader(view, SPLIT)
    assert found is not None
    assert found.trial is not None
    assert (found.advised_workers == found.trial.workers) is is_advised
    assert told is not None
    assert words in told.text

"""A wrong model file gets an answer that names the place and the fix."""

from __future__ import annotations

import textwrap

import pytest
from bsadvise.model.commands import InspectTask, Train
from bsadvise.model.measurements import FaultCode
from bsadvise.model.task import TaskProfile

from tests.support.worker_bench import LIMIT_S, Bench, fault_of, outcome_of

INSPECT = InspectTask(time_limit_s=LIMIT_S)

GOOD = """
import torch
from torch import nn
from torch.utils.data import TensorDataset

def build_model(width=8):
    return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 3))

def build_dataset():
    return TensorDataset(torch.randn(50, 4), torch.randint(3, (50,)))
"""


def test_the_contract_needs_no_more_than_two_functions(bench: Bench) -> None:
    bench.write(GOOD)
    profile = outcome_of(bench.worker(), INSPECT, TaskProfile)
    assert profile.optimizer.optimizer_name == "AdamW"
    assert profile.caveats == ()


BROKEN = {
    # what is wrong: (code added to a good file, hook, words of the message, words of the fix)
    "no build_model": (
        "del build_model",
        "build_model", "model.py has no `build_model`", "def build_model():\n        return",
    ),
    "misspelt": (
        "build_modell = build_model; del build_model",
        "build_model", "`build_modell`; is that a misspelling?", "def build_model",
    ),
    "no data": ("del build_dataset", "build_dataset", "and no `make_batch`", "def build_dataset"),
    "not callable": ("collate_fn = 3", "collate_fn", "not a int", "def collate_fn"),
    "bad reference": ("REFERENCE_BATCH_SIZE = 0", "REFERENCE_BATCH_SIZE", "from 1 to", "Correct"),
    "bad rate": ("REFERENCE_LR = -1.0", "REFERENCE_LR", "from 1e-12 to 1e+06", "Correct"),
    "huge batch": (
        "REFERENCE_BATCH_SIZE = 10**30", "REFERENCE_BATCH_SIZE", "to 2147483647", "Correct",
    ),
    "huge rate": ("REFERENCE_LR = 10**400", "REFERENCE_LR", "to 1e+06, not 1000", "Correct"),
    "longest integer": ("REFERENCE_LR = 10**9000", "REFERENCE_LR", "too long to write", "Correct"),
    "tiny rate": ("REFERENCE_LR = 5e-324", "REFERENCE_LR", "not 5e-324", "Correct"),
    "huge workers": ("NUM_WORKERS = 10**6", "NUM_WORKERS", "from 0 to 4096", "Correct"),
    "bad precision": ("PRECISION = 'fp8'", "PRECISION", "one of fp32, bf16, fp16", "Correct"),
    "bad workers": ("NUM_WORKERS = True", "NUM_WORKERS", "from 0 to 4096, not True", "Correct"),
    "model class": (
        "def build_model(): return nn.Linear",
        "build_model", "returns a type, not a torch.nn.Module", "the model itself",
    ),
    "required argument": (
        "def build_model(depth): return nn.Linear(4, 3)",
        "build_model", "needs a value for depth", "--set depth=VALUE",
    ),
    "frozen": (
        "def build_model(): return nn.Linear(4, 3).requires_grad_(False)",
        "build_model", "no trainable parameters", "requires_grad",
    ),
    "loader": (
        "def build_dataset(): return torch.utils.data.DataLoader([1, 2])",
        "build_dataset", "returns a DataLoader", "its data set",
    ),
    "tuple of tensors": (
        "def build_dataset(): return torch.ones(5, 4), torch.ones(5)",
        "build_dataset", "a tuple of 2", "TensorDataset",
    ),
    "nothing": ("def build_dataset(): pass", "build_dataset", "returns None", "Return the data"),
    "dictionary": (
        "def build_dataset(): return {'train': [], 'test': []}",
        "build_dataset", "dict of train, test", "one of its parts",
    ),
    "empty": ("def build_dataset(): return []", "build_dataset", "without samples", "paths"),
    "empty stream": (
        "class Stream:\n    def __iter__(self): return iter(())\nbuild_dataset = Stream",
        "build_dataset", "without samples", "paths",
    ),
    "generator": (
        "def build_dataset(): return iter([1, 2])",
        "build_dataset", "which can be read once only", "IterableDataset",
    ),
    "empty held-out": (
        "def build_eval_dataset(): return []", "build_eval_dataset", "without samples", "paths",
    ),
    "optimizer": (
        "def build_optimizer(params, lr): return lr",
        "build_optimizer", "returns a float, not an Optimizer", "alone",
    ),
    "float loss": (
        "def loss_fn(model, batch): return model(batch[0]).sum().item()",
        "loss_fn", "is a float, not a tensor", "without `.item()`",
    ),
    "loss of each sample": (
        "def loss_fn(model, batch): return model(batch[0]).sum(1)",
        "loss_fn", "shape [2], not a scalar", "mean",
    ),
    "detached": (
        "def loss_fn(model, batch): return model(batch[0]).detach().sum()",
        "loss_fn", "does not depend on the model", ".detach()",
    ),
    "no default loss": (
        "def build_dataset(): return [(torch.ones(4), 1, 2)] * 20",
        "loss_fn", "but 3 parts", "Define `loss_fn",
    ),
    "shapes of a regression": (
        "def build_dataset(): return [(torch.ones(4), torch.ones(7))] * 20",
        "loss_fn", "float target of shape [2, 7]", "Define `loss_fn",
    ),
    "evaluate": (
        "def evaluate(model, loader): return 'good'",
        "evaluate", "returns a str, not a number", "one number",
    ),
}  # fmt: skip


def end_of(bench: Bench, code: str) -> None:
    bench.write(GOOD + "\n" + textwrap.dedent(code))


@pytest.mark.parametrize(("code", "hook", "message", "fix"), BROKEN.values(), ids=BROKEN)
def test_a_breach_of_the_contract_is_named(
    bench: Bench, code: str, hook: str, message: str, fix: str
) -> None:
    end_of(bench, code)
    # A held-out measure is first taken when something is trained.
    command = INSPECT if hook != "evaluate" else train(1)
    fault = fault_of(bench.worker(), command)
    assert fault.code is FaultCode.MODEL_FILE
    assert fault.hook == hook
    assert fault.file == "model.py"
    assert message in fault.message
    assert fix in (fault.fix or "")


def train(step_count: int) -> Train:
    return Train(
        time_limit_s=LIMIT_S, micro_batch_size=2, accumulation_steps=1, learning_rate=0.1,
        step_count=step_count, evaluation_batch_size=8,
    )  # fmt: skip


RAISING = {
    "missing package": (
        "import no_such_package.part", "import", "No module named 'no_such_package'",
        "pip install no_such_package",
    ),
    "missing file": (
        "open('data/train.csv')", "import", "data/train.csv", "--include PATH",
    ),
    "exit": ("raise SystemExit(3)", "import", "sys.exit(3)", "__main__"),
    "interrupt": ("raise KeyboardInterrupt", "import", "KeyboardInterrupt", ""),
    "label": (
        "def build_dataset(): return TensorDataset(torch.ones(20, 4), torch.full((20,), 3))",
        "loss_fn", "Target 3 is out of bounds", "label lies outside",
    ),
    "shape": (
        "def build_dataset(): return TensorDataset(torch.ones(20, 5), torch.full((20,), 1))",
        "loss_fn", "mat1 and mat2 shapes", "do not fit together",
    ),
    "type": (
        "def build_dataset(): return [(torch.ones(4).double(), 1)] * 20",
        "loss_fn", "same dtype", "x.float()",
    ),
    "ragged": (
        "def build_dataset(): return [(torch.ones(i + 1), 1) for i in range(20)]",
        "build_dataset", "equal size", "collate_fn",
    ),
    "device": (
        "def build_model(): return nn.Linear(4, 3).to('cuda')",
        "build_model", "CUDA", "moved for you",
    ),
    "meta": (
        "def build_model():\n    with torch.device('meta'):\n        return nn.Linear(4, 3)",
        "build_model", "meta tensor", "real weights",
    ),
    "closure": (
        "def build_optimizer(params, lr): return torch.optim.LBFGS(params, lr)",
        "build_optimizer", "closure", "not supported",
    ),
    "signature": (
        "def loss_fn(model, x, y): return model(x).sum()",
        "loss_fn", "missing 1 required positional argument: 'y'", "loss_fn(model, batch)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("code", "hook", "message", "fix"), RAISING.values(), ids=RAISING)
def test_what_user_code_raises_is_explained(
    bench: Bench, code: str, hook: str, message: str, fix: str
) -> None:
    end_of(bench, code)
    fault = fault_of(bench.worker(), INSPECT)
    assert fault.code is FaultCode.USER_EXCEPTION
    assert fault.hook == hook
    assert fault.file == "model.py"
    assert message in fault.message
    assert fix in (fault.fix or "")


def test_an_optimizer_that_takes_no_sparse_gradients_is_told_what_would(bench: Bench) -> None:
    bench.write("""
        import torch

        def build_model():
            return torch.nn.EmbeddingBag(10, 1, sparse=True)

        def make_batch(batch_size):
            return torch.zeros(batch_size, 3, dtype=torch.int64), torch.ones(batch_size, 1)
    """)
    fault = fault_of(bench.worker(), INSPECT)
    assert fault.hook == "build_optimizer"
    assert "sparse gradients" in fault.message
    assert "sparse=False" in (fault.fix or "")


SIZES = """
    import torch

    REFERENCE_BATCH_SIZE = 8

    def build_model():
        return torch.nn.Linear(4, 1)

    def make_batch(batch_size):
        return torch.ones(batch_size, 4), torch.ones(batch_size, 1)

    def loss_fn(model, batch):
        x, y = batch
        return (model(x) + torch.zeros({size}, 1) - y).pow(2).mean()
"""


def test_a_model_of_one_batch_size_is_known_for_one(bench: Bench) -> None:
    bench.write(SIZES.replace("{size}", "8"))
    fault = fault_of(bench.worker(), INSPECT)
    assert fault.message.startswith("The model takes one batch size only: 8 samples work")
    assert (fault.hook, fault.line) == ("loss_fn", 14)
    assert "x.shape[0]" in (fault.fix or "")


def test_a_size_that_is_not_the_files_own_is_found_in_the_message(bench: Bench) -> None:
    bench.write(SIZES.replace("{size}", "5"))
    fault = fault_of(bench.worker(), INSPECT)
    assert fault.message.startswith("The model takes one batch size only: 5 samples work")
    assert (fault.hook, fault.line) == ("loss_fn", 14)


def test_an_exception_is_traced_to_the_users_line_and_no_further(bench: Bench) -> None:
    bench.write("import layers\n" + GOOD + "\ndef loss_fn(model, batch):\n"
                "    return layers.combine(model, batch)\n")  # fmt: skip
    bench.write(
        "def combine(model, batch):\n    x, y = batch\n    return model(x)[9]\n", "layers.py"
    )
    fault = fault_of(bench.worker(), INSPECT)
    assert (fault.file, fault.line) == ("layers.py", 3)
    assert fault.traceback is not None
    assert 'File "model.py"' in fault.traceback
    assert "return model(x)[9]" in fault.traceback
    assert "torch" not in fault.traceback
    assert "advisor" not in fault.traceback
    assert str(bench.directory) not in fault.traceback


def test_a_syntax_error_has_its_line(bench: Bench) -> None:
    bench.write("import torch\n\ndef build_model(:\n    pass\n")
    fault = fault_of(bench.worker(), INSPECT)
    assert (fault.file, fault.line, fault.hook) == ("model.py", 3, "import")


def test_what_a_loader_process_raises_has_its_line(bench: Bench) -> None:
    end_of(
        bench,
        """
        NUM_WORKERS = 1

        class Broken(torch.utils.data.Dataset):
            def __len__(self):
                return 40

            def __getitem__(self, index):
                if torch.utils.data.get_worker_info():
                    raise KeyError("sample is missing")
                return torch.ones(4), 1

        def build_dataset():
            return Broken()
        """,
    )
    fault = fault_of(bench.worker(), INSPECT)
    assert fault.hook == "build_dataset"
    assert fault.line == 21
    assert "sample is missing" in fault.message
    assert "Traceback" not in fault.message


def test_keyword_arguments_reach_build_model_as_literals_or_text(bench: Bench) -> None:
    end_of(
        bench,
        """
        def build_model(width=8, name="", ratios=()):
            assert name == "wide net" and ratios == (0.5, 1)
            return nn.Linear(4, width)
        """,
    )
    worker = bench.worker(width="16", name="wide net", ratios="(0.5, 1)")
    assert outcome_of(worker, INSPECT, TaskProfile).parameter_count == 4 * 16 + 16


def test_an_unknown_keyword_argument_is_answered_with_the_known_ones(bench: Bench) -> None:
    bench.write(GOOD)
    fault = fault_of(bench.worker(wdith="16"), INSPECT)
    assert fault.code is FaultCode.MODEL_FILE
    assert "wdith" in fault.message
    assert "It takes: width." in fault.message
    assert fault.line == 6


def test_hooks_are_announced_before_they_run(bench: Bench) -> None:
    bench.write(GOOD)
    worker = bench.worker()
    assert bench.entered_hooks == []
    worker.execute(INSPECT)
    assert bench.entered_hooks[:4] == ["import", "build_dataset", "build_model", "build_optimizer"]
    assert "loss_fn" in bench.entered_hooks


def test_the_bundle_is_the_working_directory_and_comes_first_on_the_path(bench: Bench) -> None:
    bench.write("VALUE = 5", "helpers.py")
    bench.write("3", "classes.txt")
    end_of(
        bench,
        """
        import helpers, pathlib
        assert helpers.VALUE == 5
        assert pathlib.Path("classes.txt").read_text() == "3"
        """,
    )
    outcome_of(bench.worker(), INSPECT, TaskProfile)

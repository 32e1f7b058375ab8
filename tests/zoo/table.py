"""What must come of each model file of the zoo: what it does is said in its first line."""

from __future__ import annotations

from dataclasses import dataclass

from bsadvise.model.measurements import Failed, OutOfMemory, TimedOut, TrainRun

WORK_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The outcome of a file.

    Attributes:
        kind: What the outcome is. TrainRun stands for a file that works.
        words: What must be said of it.
        hook: Which hook must be named.
        line: Which line must be named; None for none.
    """

    kind: type
    words: tuple[str, ...] = ()
    hook: str | None = None
    line: int | None = None

    @property
    def limits_s(self) -> tuple[float, ...]:
        """Time limits of its commands, to be tried in turn until one is as expected.

        A slow machine comes late to the hook that hangs.
        """
        return (2.0, 8.0, 32.0, 128.0) if self.kind is TimedOut else (WORK_LIMIT_S,)


def fails(hook: str, line: int | None, *words: str) -> Expected:
    return Expected(kind=Failed, hook=hook, line=line, words=words)


def hangs(hook: str, line: int) -> Expected:
    return Expected(kind=TimedOut, hook=hook, line=line)


def fills_memory(*words: str) -> Expected:
    return Expected(kind=OutOfMemory, words=words)


WORKS = Expected(kind=TrainRun)
DIVERGES = Expected(kind=TrainRun, words=("diverged=True",))

ZOO: dict[str, Expected] = {
    # The file itself.
    "syntax_error": fails("import", 8, "SyntaxError: '(' was never closed"),
    "import_error": fails("import", 8, "no_such_package_at_all", "-m pip install no_such_package"),
    "relative_import": fails("import", 8, "ImportError", "by their names"),
    "missing_build_model": fails("build_model", None, "no `build_model`", "`bild_model`"),
    "missing_data": fails("build_dataset", None, "no `build_dataset` and no `make_batch`"),
    "wrong_types": fails("loss_fn", 8, "must be a function, not a int"),
    "wrong_reference": fails("REFERENCE_BATCH_SIZE", 8, "whole number", "'64'"),
    "uses_what_lies_beside": WORKS,
    "huge_data_beside": WORKS,
    "json": WORKS,
    # What raises.
    "raises_at_import": fails("import", 8, "RuntimeError: not today"),
    "raises_in_build_model": fails("build_model", 9, "RuntimeError: no weights"),
    "returns_no_model": fails("build_model", 8, "returns a type, not a torch.nn.Module"),
    "raises_at_item": fails("build_dataset", 14, "ValueError: item 37 is damaged"),
    "raises_in_loss": fails("loss_fn", 10, "ValueError: Expected input batch_size"),
    "raises_in_backward": fails("loss_fn", 15, "RuntimeError: no way back"),
    "raises_in_optimizer": fails("build_optimizer", 10, "RuntimeError: I will not"),
    "recurses": fails("build_model", 9, "RecursionError"),
    "interrupts": fails("build_model", 9, "KeyboardInterrupt"),
    "shouts_exit": fails("import", 10, "sys.exit('usage: train.py DATA')", "__main__"),
    "needs_cuda": fails("build_model", 9, "CUDA", "Leave `.cuda()`"),
    # The task.
    "nan_loss": DIVERGES,
    "infinite_loss": DIVERGES,
    "independent_loss": fails("loss_fn", 8, "does not depend on the model's"),
    "loss_of_ints": fails("loss_fn", 8, "torch.int64"),
    "no_parameters": fails("build_model", 8, "no trainable parameters"),
    "frozen_model": fails("build_model", 8, "no trainable parameters", "requires_grad"),
    # The data.
    "dataset_empty": fails("build_dataset", 12, "without samples"),
    "dataset_of_one": WORKS,
    "dataset_small": WORKS,
    "stream_that_ends": WORKS,
    "stream_without_end_or_sample": hangs("build_dataset", 14),
    "ragged": fails("build_dataset", None, "stack expects", "collate_fn"),
    "complex_weights": WORKS,
    "labels_out_of_range": fails("loss_fn", None, "Target 7 is out of bounds", "labels run from 0"),
    # Time.
    "loader_deadlock": hangs("build_dataset", 20),
    "loops_at_import": hangs("import", 9),
    "loops_in_build_model": hangs("build_model", 10),
    "loops_in_build_dataset": hangs("build_dataset", 14),
    "loops_in_loss": hangs("loss_fn", 10),
    "loops_in_optimizer": hangs("build_optimizer", 10),
    "sleeps": hangs("build_model", 12),
    "busy_threads": WORKS,
    # The process.
    "fork_bomb": fails("import", None, "more than 48 processes"),
    "exits": fails("build_model", 12, "exit code 0", "os._exit"),
    "kills_its_group": fills_memory("SIGKILL in build_model"),
    "crashes": fails("build_model", 12, "SIGSEGV"),
    "closes_descriptors": fails("build_model", 12, "lost its pipe"),
    "leaves_children": WORKS,
    "changes_torch": WORKS,
    "replaces_functions": WORKS,
    "puts_tensors_elsewhere": WORKS,
    "changes_the_process": WORKS,
    "patches_everything": fails("import", None, "The process ended"),
    # What it takes.
    "much_output": WORKS,
    "binary_output": fails("import", 11, "after the noise"),
    "escapes": fails("import", 8, "RuntimeError: red \ufffdbell"),
    "takes_memory": fills_memory("10737418240 bytes"),
    "takes_memory_in_pieces": fills_memory("a worker may take 1 GiB"),
    "fills_scratch": fails("import", None, "over 64 MiB to disk"),
    # What it reaches for. Without a sandbox these are another test's.
    "reads_the_database": fails("build_model", 9, "PermissionError", "--data-path"),
    "connects_out": fails("build_model", 12, "PermissionError", "--allow-network"),
    "kills_its_parent": fails("build_model", 14, "PermissionError"),
}

NEEDS_SANDBOX = {"reads_the_database", "connects_out", "kills_its_parent"}

IN_NAMESPACES = {
    # Its temporary files are in memory, and the kernel takes no more.
    "fills_scratch": fails("import", 13, "No space left on device", "worker_scratch_bytes"),
    # What must not be read has no name, and what must not be killed has no number: 0, which
    # stands for a process's own group.
    "reads_the_database": fails("build_model", 9, "FileNotFoundError", "--data-path"),
    "kills_its_parent": fills_memory("killed by SIGKILL in build_model"),
}


def expected_of(name: str, sandbox: str) -> Expected:
    """Return what must come of a file in a degree of the sandbox."""
    return IN_NAMESPACES.get(name, ZOO[name]) if sandbox == "namespaces" else ZOO[name]

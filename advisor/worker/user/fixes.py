"""What to do about the mistakes that model files make most often."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from advisor.worker.user.reading import line_of_call, line_of_function, line_of_return


@dataclass(frozen=True, slots=True)
class _Remedy:
    """A fix for errors whose type and message match a pattern.

    Attributes:
        pattern: What matches.
        fix: What to do.
        line: Returns the line of the model file that is to be changed, where no frame says it.
    """

    pattern: str
    fix: str
    line: Callable[[bytes], int | None] | None = None


_PACKAGES = {
    "cv2": "opencv-python", "PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image",
    "yaml": "PyYAML", "bs4": "beautifulsoup4", "dotenv": "python-dotenv", "fitz": "PyMuPDF",
    "pytorch_lightning": "pytorch-lightning", "sentence_transformers": "sentence-transformers",
}  # fmt: skip
"""What installs a module, where that has another name."""


def likely_fix(error: BaseException) -> str | None:
    """Return what to do about an exception; None when nothing is known of its kind."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        package = _PACKAGES.get(module, module)
        return (
            f"Install it (`{sys.executable} -m pip install {package}`), name an interpreter that "
            "has it with --python, or, if it is a module of your own, keep it beside the model "
            "file so that it is uploaded too."
        )
    if isinstance(error, PermissionError):
        return (
            "In a sandbox a model file may read what was uploaded with it and the daemon's data "
            "paths, write temporary files, and open no connection: use --include, or have the "
            "daemon started with --data-path or --allow-network."
        )
    if isinstance(error, FileNotFoundError):
        return (
            "The file runs from an uploaded copy: add `--include PATH` to upload the data too, or "
            "`--data-path PATH` for a script to find it in place, or give an absolute path that "
            "exists where the daemon runs, below a --data-path of its where that confines model "
            "files."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            "Write fewer temporary files, or to a place that is not temporary before you ask; a "
            "daemon's worker_scratch_bytes sets the most."
        )
    if isinstance(error, SystemExit):
        return "Keep what parses arguments or exits under `if __name__ == '__main__':`."
    remedy = _remedy(error)
    return None if remedy is None else remedy.fix


def likely_line(error: BaseException, path: Path) -> int | None:
    """Return which line of a model file an exception is due to that no line of it raised."""
    remedy = _remedy(error)
    if remedy is None or remedy.line is None:
        return None
    return remedy.line(path.read_bytes())


def _remedy(error: BaseException) -> _Remedy | None:
    text = f"{type(error).__name__}: {error}"
    return next((remedy for remedy in _REMEDIES if re.search(remedy.pattern, text)), None)


# The first that matches counts: what is narrow stands before what is wide.
_REMEDIES = (
    _Remedy(
        r"Target -?\d+ is out of bounds|Assertion `?t >= 0 && t < n_classes",
        "A label lies outside the model's classes: labels run from 0 to the number of outputs "
        "less one; check them and the last layer's width.",
    ),
    _Remedy(
        r"IndexError: index out of range in self|Assertion `?srcIndex < srcSelectDimSize",
        "An index given to an embedding is not below its `num_embeddings`; check the vocabulary.",
    ),
    _Remedy(
        r"attempted relative import",
        "A model file is no part of a package: import its neighbours by their names, such as "
        "`from package import module`.",
    ),
    _Remedy(
        r"stack expects each tensor to be equal size|elements? in list of batch should be of equal",
        "The samples are not all of one size: define `collate_fn(samples)` that pads them, for "
        "example with `torch.nn.utils.rnn.pad_sequence`.",
    ),
    _Remedy(
        r"default_collate: batch must contain.* found <class 'NoneType'>",
        "A sample, or a part of one, is None: return a value in its place, or leave such samples "
        "out in `build_dataset` (`torch.utils.data.Subset(dataset, kept)`).",
        lambda source: line_of_function(source, "__getitem__"),
    ),
    _Remedy(
        r"default_collate: batch must contain",
        "Return tensors, numbers, or dictionaries and tuples of them from the data set, or define "
        "`collate_fn(samples)`.",
    ),
    _Remedy(
        r"the stream gave no samples when it was read again",
        "Let `__iter__` of the data set begin anew each time that it is called.",
    ),
    _Remedy(
        r"mat1 and mat2 must have the same dtype|expected scalar type|expected m1 and m2 to have"
        r"|Input type .* and (weight|bias) type .* should be the same",
        "Convert the inputs to the model's type, for example with `x.float()` in the data set.",
    ),
    _Remedy(
        r"mat1 and mat2 shapes cannot be multiplied|size mismatch|must match the size of tensor"
        r"|Given groups=|expected input.* to have|shape '.*' is invalid for input"
        r"|Given normalized_shape",
        "The batch and the model's layers do not fit together: compare the shapes in the message "
        "with what the data set returns.",
    ),
    _Remedy(
        r"[Ee]xpected all tensors to be on the same device|found at least two devices",
        "Do not name a device in the file: take it from the batch or from a parameter "
        "(`x.device`), and register constant tensors with `register_buffer`.",
    ),
    _Remedy(
        r"Torch not compiled with CUDA enabled|No CUDA GPUs are available|Found no NVIDIA driver",
        "Leave `.cuda()` and device names out: the model and the batches are moved for you.",
    ),
    _Remedy(
        r"Cannot copy out of meta tensor",
        "Make the model with real weights: parameters on the meta device hold none.",
    ),
    _Remedy(
        r"Expected more than 1 value per channel when training",
        "A batch normalisation layer cannot train on one sample; the smallest batch is 2.",
    ),
    _Remedy(
        r"'list' object has no attribute '(named_)?parameters'",
        "`build_optimizer(params, lr)` is given a list of the parameters to train, not the model.",
    ),
    _Remedy(
        r"does not require grad and does not have a grad_fn",
        "Gradients are off: leave out `torch.set_grad_enabled(False)`, `torch.no_grad()` and "
        "`.detach()` on the way to the loss; in `evaluate`, which is called without gradients, put "
        "`with torch.enable_grad():` around what needs them.",
    ),
    _Remedy(
        r"modified by an inplace operation",
        "A tensor that the gradient needs is changed in place; use the form that makes a new one.",
    ),
    _Remedy(
        r"\bclosure\b",
        "Optimizers that need a closure, such as SAM and LBFGS, are not supported. Write another: "
        "`return torch.optim.SGD(params, lr, momentum=0.9)`.",
        lambda source: line_of_return(source, "build_optimizer"),
    ),
    _Remedy(
        r"_amp_\w*unscale\w*\" not implemented for 'Complex",
        'The gradient scaler of `PRECISION = "fp16"` knows no complex parameters: use '
        '`PRECISION = "bf16"`.',
    ),
    _Remedy(
        r"Attempting to unscale FP16 gradients",
        'Leave `.half()` out of the file: with `PRECISION = "fp16"` the weights stay in float32, '
        "and what is computed is converted.",
    ),
    _Remedy(
        r"does not support sparse gradients|SparseAdam does not support dense gradients",
        "Make the embedding with `sparse=False`, or define `build_optimizer` with "
        "`return torch.optim.SGD(params, lr)`, which takes sparse gradients and dense ones; "
        "`torch.optim.SparseAdam` takes sparse ones alone.",
        lambda source: line_of_call(source, keyword=("sparse", True)),
    ),
    _Remedy(
        r"[Dd]efault process group has not been initialized|env:// rendezvous",
        "Leave DistributedDataParallel and `init_process_group` out of the file: return the plain "
        "model, and give `--gpus N`.",
        lambda source: line_of_call(source, "DistributedDataParallel", "DDP"),
    ),
    _Remedy(
        r"Expected hidden(\[\d\])? size|Expected hidden_state|Expected cell_state",
        "Make the state from the batch: its size is `x.shape[0]` (`x.shape[1]` where the batch "
        "comes second).",
    ),
    _Remedy(
        r"optimizer got an empty parameter list|optimizer can only optimize Tensors",
        "`params` is a list of tensors: give it to the optimizer as it is, and once only.",
    ),
    _Remedy(
        r"insufficient shared memory|unable to (open|allocate) shared memory|Bus error",
        "The loader's processes ran out of shared memory: lower NUM_WORKERS or raise /dev/shm.",
    ),
    _Remedy(
        r"DataLoader worker \(pid.*(exited unexpectedly|killed by signal)",
        "A process of the loader died: set `NUM_WORKERS = 0` to see why.",
    ),
    _Remedy(
        r"takes \d+ positional arguments? but \d+ (was|were) given|missing \d+ required positional",
        "Compare the parameters of the function with the call that the message names; the hooks "
        "are `loss_fn(model, batch)`, `build_optimizer(params, lr)`, `evaluate(model, loader)`.",
    ),
)

"""What a Lightning training does that trials do not, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bsadvise.model.caveats import Caveat, CaveatCode
from torch.utils.data import DataLoader

from advisor.worker.data.user_loader import shuffles
from advisor.worker.entries.fit_call import FitCall, overrides
from advisor.worker.entries.schedules import DEPENDS_ON_LOSS

_MANUAL = (
    "The module optimizes by itself (automatic_optimization = False): it is run for memory and "
    "speed as it is, and the learning rate of its first optimizer follows the rule."
)
_BATCH_HOOKS = (
    "on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward",
    "on_after_backward", "on_before_optimizer_step", "on_train_epoch_start", "on_fit_start",
    "on_train_start",
)  # fmt: skip
_WATCHING = frozenset({
    "BatchSizeAdvisor", "DeviceStatsMonitor", "EarlyStopping", "LearningRateMonitor",
    "ModelCheckpoint", "ModelSummary", "OnExceptionCheckpoint", "ProgressBar", "RichModelSummary",
    "RichProgressBar", "ThroughputMonitor", "Timer", "TQDMProgressBar",
})  # fmt: skip
"""Callbacks that change nothing of what is trained: Lightning's, and ours where it is observed."""


def caveats_of(
    call: FitCall,
    loader: DataLoader[Any],
    module: Any,  # noqa: ANN401 - a Lightning module
    *,
    depends_on_loss: bool,
) -> tuple[Caveat, ...]:
    """Return what trials leave out.

    Args:
        call: The call of ``fit``.
        loader: The training loader.
        module: The module.
        depends_on_loss: Whether a scheduler lowers the rate when a loss stops falling.
    """
    texts = list(_texts(call, loader, depends_on_loss=depends_on_loss))
    if not module.automatic_optimization:
        texts.insert(0, _MANUAL)
    return tuple(Caveat(code=CaveatCode.TRAINER_PARTS_LEFT_OUT, text=text) for text in texts)


def _texts(call: FitCall, loader: DataLoader[Any], *, depends_on_loss: bool) -> Iterator[str]:
    names = [type(callback).__name__ for callback in call.trainer.callbacks if _acts(callback)]
    if names:
        yield (
            f"Callbacks are not run: {', '.join(names)}. What they do to the training, and the "
            "memory that they take, is not in the figures."
        )
    if depends_on_loss:
        yield DEPENDS_ON_LOSS
    if call.is_compiled:
        yield "The module is measured as it was before torch.compile."
    if call.has_checkpoint:
        yield "Trials begin with the module's own weights, not with those of ckpt_path."
    if not shuffles(loader):
        yield "The training loader does not shuffle; trials see the samples in random order."
    devices = int(call.trainer.num_devices) * int(call.trainer.num_nodes)
    if devices > 1:
        yield f"The trainer is for {devices} devices; the reference batch is that of one."


def _acts(callback: object) -> bool:
    if any(base.__name__ in _WATCHING for base in type(callback).__mro__):
        return False
    return any(overrides(callback, name) for name in _BATCH_HOOKS)

"""The advised settings, by the names that they have in JSON."""

from __future__ import annotations

from bsadvise.model.advice import Advice


def setting_rows(advice: Advice) -> list[tuple[str, str]]:
    """Return the settings to train with; those that are not known are left out."""
    rows: list[tuple[str, object]] = [
        ("micro_batch_size", advice.micro_batch_size),
        ("accumulation_steps", advice.accumulation_steps),
        ("world_size", advice.world_size),
        ("effective_batch_size", advice.effective_batch_size),
        ("learning_rate", f"{advice.learning_rate:.6g}"),
        ("warmup_steps", advice.warmup_steps),
        ("total_steps", advice.horizon.total_steps if advice.horizon else None),
        ("decay_steps", (advice.horizon and advice.horizon.decay_steps) or None),
        ("weight_decay", advice.weight_decay),
        ("betas", ", ".join(f"{beta:g}" for beta in advice.betas) or None),
        ("momentum", advice.momentum),
        ("batch_schedule", _schedule(advice)),
        ("precision", advice.precision),
        ("num_workers", advice.loader_workers),
        ("drop_last", advice.drop_last or None),
    ]
    return [(name, str(value)) for name, value in rows if value is not None]


def _schedule(advice: Advice) -> str | None:
    stages = [
        f"{s.effective_batch_size} from epoch {s.from_epoch:g}" for s in advice.batch_schedule
    ]
    return ", ".join(stages) or None

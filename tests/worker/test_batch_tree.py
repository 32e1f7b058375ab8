from __future__ import annotations

from collections import OrderedDict, UserDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from advisor.worker.user.batch_tree import (
    copy_of_batch,
    count_elements,
    count_samples,
    describe_shapes,
    map_tensors,
    move,
    tensors_in,
)


class Pair(NamedTuple):
    x: Tensor
    name: str


@dataclass(frozen=True)
class Sample:
    x: Tensor
    weight: float


class Encoding(UserDict[str, Any]):
    """A mapping that knows how to move itself, as Transformers' BatchEncoding does."""

    def to(self, device: torch.device) -> Encoding:
        return Encoding({key: value.to(device) for key, value in self.items()})


class Graph:
    def __init__(self, x: Tensor) -> None:
        self.x = x

    def to(self, device: torch.device) -> Graph:
        return Graph(self.x.to(device))


ONE = torch.ones(2)
NESTED = {
    "dict": {"a": ONE, "b": [ONE, "text", 3]},
    "ordered": OrderedDict(a=ONE),
    "named tuple": Pair(ONE, "n"),
    "dataclass": Sample(ONE, 0.5),
    "user mapping": UserDict(a=ONE),
    "deep": [({"a": (ONE, None)},)],
}


@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED)
def test_containers_keep_their_types_and_the_original_stays(value: Any) -> None:
    doubled = map_tensors(value, lambda tensor: tensor * 2)
    assert type(doubled) is type(value)
    assert all(torch.equal(tensor, ONE) for tensor in tensors_in(value))
    found = list(tensors_in(doubled))
    assert found
    assert all(torch.equal(tensor, ONE * 2) for tensor in found)


@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED)
def test_every_tensor_is_moved(value: Any) -> None:
    moved = move(value, torch.device("meta"))
    assert all(tensor.device.type == "meta" for tensor in tensors_in(moved))


def test_objects_move_themselves() -> None:
    assert move(Graph(ONE), torch.device("meta")).x.device.type == "meta"
    encoding = move([Encoding(a=ONE)], torch.device("meta"))[0]
    assert isinstance(encoding, Encoding)
    assert encoding["a"].device.type == "meta"
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2)])
    assert move(packed, torch.device("cpu")).data.shape == (5,)


def test_samples_are_counted_by_the_first_dimension() -> None:
    assert count_samples({"id": torch.tensor(3), "x": torch.ones(7, 2)}) == 7
    assert count_samples(["text"]) is None


def test_elements_are_counted_in_whatever_holds_them() -> None:
    assert count_elements((torch.ones(3, 4), 1)) == 13
    assert count_elements({"tokens": [1, 2, 3], "text": "abcd"}) == 7
    assert count_elements(torch.ones(5).numpy()) == 5


def test_shapes_are_told_by_name_where_there_are_names() -> None:
    assert describe_shapes((torch.ones(3, 8), torch.tensor(1))) == "float32[3, 8], int64[]"
    assert describe_shapes({"x": torch.ones(2)}) == "x float32[2]"


class OfTheUsers(Tensor):
    pass


@pytest.mark.parametrize(
    "tensor",
    [torch.ones(3), torch.ones(3, requires_grad=True) * 1, torch.ones(3).as_subclass(OfTheUsers)],
    ids=["plain", "with a history", "of a class of its own"],
)
def test_a_copy_of_a_batch_shares_nothing_that_may_be_changed(tensor: Tensor) -> None:
    batch = {"x": [tensor], "name": "a"}
    copied = copy_of_batch(batch)
    copied["x"][0].detach().zero_()
    assert tensor.detach().sum() == 3
    assert (copied["name"], copied["x"][0].shape) == ("a", (3,))

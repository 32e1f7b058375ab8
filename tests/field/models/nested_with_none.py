"""A nested batch with None, words and Python numbers beside its tensors."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.05


class Visits(Dataset):
    def __len__(self):
        return 2000

    def __getitem__(self, index):
        values = torch.randn(8, generator=torch.Generator().manual_seed(index))
        return {"patient": f"p{index}", "measured": {"values": values, "image": None}, "label": (values[0] > 0, None)}


def collate_fn(visits):
    return {
        "patients": [visit["patient"] for visit in visits],
        "measured": {"values": torch.stack([visit["measured"]["values"] for visit in visits]), "image": None},
        "label": (torch.tensor([float(visit["label"][0]) for visit in visits]), None),
        "number": len(visits),
    }


def build_model():
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))


def build_dataset():
    return Visits()


def loss_fn(model, batch):
    if batch["measured"]["image"] is not None or type(batch["number"]) is not int:
        raise TypeError("a part of the batch came out as something else")
    return functional.binary_cross_entropy_with_logits(
        model(batch["measured"]["values"]).squeeze(1), batch["label"][0]
    )


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)

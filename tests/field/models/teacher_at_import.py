"""Distillation: the teacher is made when the file is imported, beside a command line parser of the user's.

Right: an answer; the teacher is not trained and not counted among the model's parameters; parsing the arguments
at import finds none of ours; tracing with fake tensors copes with the teacher's real ones, or the answer says
that it did not.
"""

import argparse

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

parser = argparse.ArgumentParser()
parser.add_argument("--temperature", type=float, default=2.0)
parser.add_argument("--share", type=float, default=0.7)
args = parser.parse_args()

REFERENCE_BATCH_SIZE = 32
REFERENCE_LR = 0.1

teacher = nn.Sequential(nn.Linear(20, 256), nn.Tanh(), nn.Linear(256, 6)).eval()


def build_model():
    return nn.Sequential(nn.Linear(20, 48), nn.ReLU(), nn.Linear(48, 6))


def build_dataset():
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(3000, 20, generator=generator)
    return TensorDataset(x, x[:, :6].argmax(1))


def loss_fn(student, batch):
    x, y = batch
    with torch.no_grad():
        wanted = teacher.to(x.device)(x) / args.temperature
    logits = student(x)
    soft = functional.kl_div(
        (logits / args.temperature).log_softmax(1), wanted.softmax(1), reduction="batchmean"
    )
    return args.share * args.temperature**2 * soft + (1 - args.share) * functional.cross_entropy(logits, y)


def build_optimizer(params, lr):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)

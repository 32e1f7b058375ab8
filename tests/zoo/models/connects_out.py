"""Sends what it knows elsewhere."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


import socket


def build_model():
    socket.create_connection(("127.0.0.1", 9))


def build_dataset():
    return TensorDataset(torch.randn(96, 4), torch.randint(3, (96,)))

"""Detection: a batch is a list of images of several sizes and a list of targets; one image has 200 boxes."""

import torch
from torch import nn
from torch.utils.data import Dataset

REFERENCE_BATCH_SIZE = 4
REFERENCE_LR = 1e-3


class Photographs(Dataset):
    def __len__(self):
        return 200

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        side = 24 + 8 * int(torch.randint(4, (), generator=generator))
        boxes = 200 if index == 50 else int(torch.randint(1, 5, (), generator=generator))
        return torch.rand(3, side, side, generator=generator), {"boxes": torch.rand(boxes, 4, generator=generator)}


class Finder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.box = nn.Conv2d(24, 4, 1)

    def forward(self, images, targets):
        missed = []
        for image, target in zip(images, targets):
            found = self.box(self.body(image.unsqueeze(0))).flatten(2).squeeze(0).T
            far = (found.unsqueeze(0) - target["boxes"].unsqueeze(1)).abs().mean(2)
            missed.append(far.amin(1).mean())
        return {"boxes": torch.stack(missed).mean()}


def build_model():
    return Finder()


def build_dataset():
    return Photographs()


def collate_fn(samples):
    images, targets = zip(*samples)
    return list(images), list(targets)


def loss_fn(model, batch):
    return sum(model(*batch).values())

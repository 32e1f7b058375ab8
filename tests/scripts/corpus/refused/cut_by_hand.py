# Cuts its batches out of one long tensor.
import torch
from torch import nn

torch.manual_seed(0)
text = torch.randint(0, 16, (5000,))
batch_size, block = 12, 8
model = nn.Sequential(nn.Embedding(16, 8), nn.Linear(8, 16))
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)


def get_batch():
    starts = torch.randint(len(text) - block - 1, (batch_size,))
    x = torch.stack([text[i : i + block] for i in starts])
    y = torch.stack([text[i + 1 : i + 1 + block] for i in starts])
    return x, y


for _ in range(40):
    x, y = get_batch()
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    optimizer.step()

"""A script that trains when it is run, with its batch size used again in a shape."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 25

images = torch.randn(500, 6, 6)
loader = DataLoader(TensorDataset(images, images.mean((1, 2)) > 0), batch_size=BATCH_SIZE)
model = nn.Linear(36, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for image, is_bright in loader:
    guess = model(image.reshape(BATCH_SIZE, 36))
    loss = functional.binary_cross_entropy_with_logits(guess, is_bright.float().unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())

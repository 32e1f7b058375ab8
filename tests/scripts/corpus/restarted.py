# Counts steps, not epochs: an iterator that is begun anew where it ends; two processes load.
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Sums(Dataset):
    def __init__(self, size):
        self.x = torch.randint(0, 10, (size, 6), generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], int(self.x[index].sum())


def build_loader(dataset, args, training):
    return DataLoader(
        dataset,
        batch_size=args.train_batch_size if training else args.eval_batch_size,
        shuffle=training,
        num_workers=args.workers if training else 0,
        drop_last=training,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train_batch_size", default=30, type=int)
    parser.add_argument("--eval_batch_size", default=30, type=int)
    parser.add_argument("--learning_rate", default=2e-3, type=float)
    parser.add_argument("--num_steps", default=35, type=int)
    parser.add_argument("--eval_every", default=25, type=int)
    parser.add_argument("--workers", default=1, type=int)
    args = parser.parse_args()
    torch.manual_seed(0)
    loader = build_loader(Sums(300), args, training=True)
    test_loader = build_loader(Sums(60), args, training=False)
    model = nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Dropout(0.1), nn.Linear(48, 1))
    optimizer = torch.optim.RAdam(model.parameters(), lr=args.learning_rate)
    batches = iter(loader)
    for step in range(args.num_steps):
        try:
            x, y = next(batches)
        except StopIteration:
            batches = iter(loader)
            x, y = next(batches)
        loss = nn.functional.smooth_l1_loss(model(x)[:, 0], y.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"{step} {loss.item():.17g}")
        if (step + 1) % args.eval_every == 0:
            with torch.no_grad():
                print(sum(model(x).sum().item() for x, _ in test_loader))


if __name__ == "__main__":
    main()

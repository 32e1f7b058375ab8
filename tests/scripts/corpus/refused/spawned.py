# Starts a process for each device, and trains in them.
import torch
import torch.multiprocessing as mp


def train(rank, world_size):
    raise SystemExit("is not to be run")


if __name__ == "__main__":
    world_size = max(2, torch.cuda.device_count())
    mp.spawn(train, args=(world_size,), nprocs=world_size, join=True)

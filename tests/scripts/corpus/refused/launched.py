# Waits for the other processes of a launcher.
import os

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
torch.manual_seed(int(os.environ["RANK"]))

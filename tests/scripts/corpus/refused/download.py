# Downloads its data when it is started.
import urllib.request

import torch

with urllib.request.urlopen("http://data.example.invalid/train.pt") as reply:
    data = torch.load(reply)

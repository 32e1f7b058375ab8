# Sequences of different lengths, padded by a collate function; three losses; a class that trains.
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

PAD = 0
hparams = {"bs": 14, "hidden": 16, "optim": {"lr": 4e-3, "eps": 1e-8}, "epochs": 2}


class Sentences(Dataset):
    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(3, 9, (210,), generator=generator).tolist()
        self.items = [torch.randint(1, 20, (n,), generator=generator) for n in lengths]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return {"tokens": self.items[index], "length": len(self.items[index])}


def collate(items):
    tokens = pad_sequence([item["tokens"] for item in items], batch_first=True, padding_value=PAD)
    return {"tokens": tokens, "length": torch.tensor([item["length"] for item in items])}


class Tagger(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(20, hidden, padding_idx=PAD)
        self.rnn = nn.GRU(hidden, hidden, batch_first=True)
        self.words, self.length = nn.Linear(hidden, 20), nn.Linear(hidden, 1)

    def forward(self, tokens):
        states, last = self.rnn(self.embedding(tokens))
        return self.words(states), self.length(last[0])[:, 0], states


class Trainer:
    def __init__(self):
        self.model = Tagger(hparams["hidden"])
        self.loader = DataLoader(
            Sentences(), batch_size=hparams["bs"], shuffle=True, collate_fn=collate
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), **hparams["optim"])

    def loss(self, batch):
        words, length, states = self.model(batch["tokens"][:, :-1])
        targets = batch["tokens"][:, 1:].flatten()
        likelihood = F.cross_entropy(words.flatten(0, 1), targets, ignore_index=PAD)
        return likelihood + 0.1 * F.mse_loss(length, batch["length"].float()) + states.norm() / 1e3

    def fit(self):
        for _ in range(hparams["epochs"]):
            for batch in self.loader:
                self.optimizer.zero_grad()
                loss = self.loss(batch)
                loss.backward()
                self.optimizer.step()
                print(f"{loss.item():.17g}")


torch.manual_seed(0)
Trainer().fit()

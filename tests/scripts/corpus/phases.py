# Training and validation in one loop over a dictionary of loaders, gradients switched by the phase.
import copy

import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset


def make_data(count, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, 4, 4, generator=generator)
    return TensorDataset(x, (x.mean((1, 2, 3)) > 0).long())


def train_model(model, loaders, criterion, optimizer, scheduler, epochs):
    best, best_accuracy = copy.deepcopy(model.state_dict()), 0.0
    for epoch in range(epochs):
        for phase in ["train", "val"]:
            model.train(phase == "train")
            running_loss, correct = 0.0, 0
            for inputs, labels in loaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                correct += (outputs.argmax(1) == labels).sum().item()
            if phase == "train":
                scheduler.step()
            size = len(loaders[phase].dataset)
            print(f"{epoch} {phase} loss {running_loss / size:.17g} {correct / size:.4f}")
            if phase == "val" and correct / size > best_accuracy:
                best, best_accuracy = copy.deepcopy(model.state_dict()), correct / size
    model.load_state_dict(best)


def main():
    torch.manual_seed(0)
    datasets = {"train": make_data(120, 0), "val": make_data(40, 1)}
    loaders = {name: DataLoader(datasets[name], batch_size=4, shuffle=True) for name in datasets}
    features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    model = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    train_model(model, loaders, nn.CrossEntropyLoss(), optimizer, scheduler, epochs=2)


if __name__ == "__main__":
    main()

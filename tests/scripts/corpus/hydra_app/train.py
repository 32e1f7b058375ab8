# Hydra's decorator, a group of configurations, the objects made by the configuration.
import hydra
import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    torch.manual_seed(cfg.seed)
    x = torch.randn(cfg.data.samples, 4)
    loader = DataLoader(TensorDataset(x), batch_size=cfg.data.batch_size, shuffle=True)
    model = nn.Linear(4, 4)
    optimizer = hydra.utils.instantiate(cfg.optim, params=model.parameters())
    for _ in range(cfg.epochs):
        for (inputs,) in loader:
            loss = (model(inputs) - inputs).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.17g}")
    return loss.item()


if __name__ == "__main__":
    main()

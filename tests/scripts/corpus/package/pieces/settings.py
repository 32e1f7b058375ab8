from dataclasses import dataclass


@dataclass
class Settings:
    eval_batch_size: int = 40
    batch_size: int = 40
    lr: float = 0.01
    epochs: int = 4

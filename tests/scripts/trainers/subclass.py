"""A trainer of its own loss, with an optimizer that is given to it."""

import torch
import transformers


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(4, generator=generator)
        return {"x": x, "labels": x.sum()}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x, labels=None):
        return {"prediction": self.layer(x)[:, 0]}


class Huber(transformers.Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        outputs = model(**inputs)
        loss = torch.nn.functional.huber_loss(outputs["prediction"], inputs["labels"])
        return (loss, outputs) if return_outputs else loss


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
args = transformers.TrainingArguments(
    output_dir="out", per_device_train_batch_size=10, report_to="none", lr_scheduler_type="constant"
)
trainer = Huber(model, args, train_dataset=Pairs(), optimizers=(optimizer, None))
trainer.train()

"""A causal language model from a configuration, its arguments parsed by Transformers."""

import torch
import transformers


class Counting(torch.utils.data.Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        tokens = (index + torch.arange(10)) % 30
        return {"input_ids": tokens, "labels": tokens}


def main():
    parser = transformers.HfArgumentParser(transformers.TrainingArguments)
    (args,) = parser.parse_args_into_dataclasses()
    config = transformers.LlamaConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
    )
    trainer = transformers.Trainer(
        model=transformers.LlamaForCausalLM(config),
        args=args,
        train_dataset=Counting(700),
        eval_dataset=Counting(50),
    )
    trainer.train()
    trainer.save_model("model")


if __name__ == "__main__":
    main()

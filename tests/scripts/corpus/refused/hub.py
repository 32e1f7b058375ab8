# Takes its data from a hub, which cannot be reached.
from huggingface_hub import hf_hub_download

path = hf_hub_download("example/digits", "train.parquet", repo_type="dataset")
print(path)

"""``python -m advisor.worker``: the fork server, with all imported that its workers will need."""

# An optimizer imports this for itself when it is first made, which takes most of a second. Here
# it is done once for all workers.
import torch._dynamo  # noqa: F401

from advisor.worker.execution import Worker
from advisor.worker.forkserver import main

if __name__ == "__main__":
    main(Worker)

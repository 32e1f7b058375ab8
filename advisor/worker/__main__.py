"""``python -m advisor.worker``: the fork server, with torch and the real executor imported."""

from advisor.worker.execution import Worker
from advisor.worker.forkserver import main

if __name__ == "__main__":
    main(Worker)

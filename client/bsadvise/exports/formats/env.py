"""Variables for a shell, a container or a launcher."""

from __future__ import annotations

from typing import Any

from bsadvise.exports.formats.settings import all_settings
from bsadvise.model.advice import Advice

USAGE = "set -a; . ./advice.env; set +a    or    docker run --env-file advice.env"

_PREFIX = "TRAINING_"
# Not BSADVISE_, whose variables are flags of this program: the next question would be asked with
# this answer. WORLD_SIZE alone would be a launcher's.


def settings(advice: Advice) -> dict[str, Any]:
    """Return each setting under its variable's name, betas one by one."""
    found = all_settings(advice)
    for position, beta in enumerate(found.pop("betas", []), start=1):
        found[f"beta{position}"] = beta
    return {_PREFIX + name.upper(): value for name, value in found.items()}

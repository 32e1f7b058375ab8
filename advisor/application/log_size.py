"""How much a recommendation's log may hold."""

from __future__ import annotations

import json

from bsadvise.model.measurements import Measurement
from bsadvise.model.recommendation import Measured
from bsadvise.wire.plain import to_plain

from advisor.domain.limits import MOST_LOG_BYTES, MOST_LOG_ENTRIES


def kept_bytes(entry: Measured | Measurement) -> int:
    """Return the bytes that a measurement takes where it is kept."""
    return len(json.dumps(to_plain(entry)))


def is_full(entry_count: int, size_bytes: int) -> bool:
    """Return whether nothing more is to be measured for a log of this size."""
    return entry_count >= MOST_LOG_ENTRIES or size_bytes >= MOST_LOG_BYTES

"""Page tokens: where the next page of a list begins, opaque to clients."""

from __future__ import annotations

import base64
import re

from advisor.domain.errors import FieldViolation, InvalidRequest

_TOKEN = re.compile(rb"after=([0-9]{1,18})")


def make_page_token(number: int) -> str:
    """Return the token of the page that begins after the recommendation numbered ``number``."""
    return base64.urlsafe_b64encode(b"after=%d" % number).decode()


def read_page_token(page_token: str) -> int:
    """Return the number that ``make_page_token`` put into a token. Raises InvalidRequest."""
    try:
        match = _TOKEN.fullmatch(base64.b64decode(page_token, altchars=b"-_", validate=True))
    except ValueError:
        match = None
    # Writing it again tells whether it is the one text that stands for this number.
    if match is None or make_page_token(int(match[1])) != page_token:
        raise InvalidRequest(
            FieldViolation("page_token", "is not one that an earlier page of this list gave")
        )
    return int(match[1])

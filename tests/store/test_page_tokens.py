"""Page tokens."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.domain.errors import InvalidRequest
from advisor.store.page_tokens import make_page_token, read_page_token


@given(st.integers(min_value=0, max_value=2**59))
def test_a_token_gives_back_its_number(number: int) -> None:
    assert read_page_token(make_page_token(number)) == number


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_any_other_text_is_refused(token: str) -> None:
    try:
        number = read_page_token(token)
    except InvalidRequest:
        return
    assert make_page_token(number) == token


@pytest.mark.parametrize("content", [b"after=", b"after=01", b"after=-1", b"after=1 ", b"1"])
def test_what_only_looks_like_a_token_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_page_token(base64.urlsafe_b64encode(content).decode())


@pytest.mark.parametrize("number", [1, 25, 10**17])
def test_a_token_is_safe_in_a_url(number: int) -> None:
    assert set(make_page_token(number)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
    )

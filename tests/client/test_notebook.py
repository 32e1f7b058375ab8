"""An answer as a notebook shows it: the same facts, and nothing that a notebook would carry out."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from bsadvise import Advice
from bsadvise.model.advice import Evidence
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.wire.messages import from_message
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import an_advice
from tests.support.wire_samples import wire_advice


class _Page(HTMLParser):
    """The tags of a fragment, which must all be closed in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_it_says_what_the_command_line_says(kind: str) -> None:
    shown = from_message(wire_advice(), Advice)._repr_mimebundle_(include=None, exclude=None)[kind]
    words = " ".join((_Page(shown).text if kind == "text/html" else shown).split())
    for fact in (
        "batch 64 (32 x 2), lr 0.003 on A GPU",
        "accumulation_steps 2",
        "verification verified in a fresh process",
        "Batch norm [3 layers] sees 32 samples, not 64.",
        "leanest memory 8 8 64 0.003 4 GiB - 1.4 x -",
    ):
        assert fact in words


@given(st.text())
def test_what_others_wrote_stays_text(text: str) -> None:
    hostile = f"<script>alert(1)</script>{text}\x1b[31m"
    advice = an_advice(
        device=hostile,
        lr_evidence=Evidence.RULE,
        lr_rule=hostile,
        caveats=(Caveat(code=CaveatCode.USER_WARNING, text=hostile),),
    )
    page = _Page(advice._repr_mimebundle_()["text/html"])
    assert page.tags <= {
        "div", "p", "strong", "table", "thead", "tr", "th", "td", "details", "summary", "ul", "li",
    }  # fmt: skip
    assert page.attributes <= {"scope", "open"}
    assert page.text.count("<script>alert(1)</script>") >= 3
    assert "\x1b" not in page.text


def test_what_was_only_observed_is_shown_as_that() -> None:
    advice = an_advice(caveats=(Caveat(code=CaveatCode.OBSERVED_ONLY, text=""),))
    assert advice._repr_mimebundle_()["text/html"].startswith("<pre>found:")


def test_ipython_takes_it() -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    shown, _ = formatters.DisplayFormatter().format(an_advice())
    assert {"text/plain", "text/html"} <= set(shown)

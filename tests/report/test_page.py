"""The page: whole for every recorded search, harmless whatever a job holds, and small."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import pytest
from bsadvise.exports.changes.values import Change, Changes
from bsadvise.model.advice import RefusalCode
from bsadvise.model.caveats import Caveat, CaveatCode
from bsadvise.model.commands import InspectTask, Train
from bsadvise.model.explanation import Findings
from bsadvise.model.measurements import Failed, MemoryTrace
from bsadvise.report.comparing import compare
from bsadvise.report.making import make_report
from bsadvise.report.page import render_comparison, render_page, report_of
from bsadvise.report.values import Spec

from benchmarks.planner_cost import long_log
from tests.replay.recordings import recorded_names
from tests.support.builders import (
    a_device,
    a_fault,
    a_measurement,
    a_refusal,
    a_request,
    a_source,
    an_advice,
)
from tests.support.findings import findings_of, recorded_findings
from tests.support.parsed_page import check_harmless, document_of, parse, text_of
from tests.support.simulated_device import SimulatedDevice

MOST_BYTES = 300_000
DRAWN = ["batch_norm", "nan_loss", "refused_no_fit_when_run", "gpt2_on_a100", "accumulation"]
"""With every figure, with no trial that trained well, with sizes that ran out of memory, with
nothing that was run, with one trial."""

HOSTILE = (
    '</td></table><script>alert(1)</script><img src=x onerror=alert(2)> "\' onload="x '
    "</style></title></svg><svg onload=alert(3)> {{ 7*7 }} {% raw %} javascript:x "
    "\x1b[31mred\x1b[0m \x9b2J \u202eevil\u2066 \u200f \x00 \ud800 &lt;b&gt;"
)


def undrawn(spec: Spec) -> ET.Element:
    """Draw nothing: most tests are of what stands around a figure."""
    assert spec["layer"]
    return ET.Element("svg", {"viewBox": "0 0 1 1"})


@pytest.mark.parametrize("name", recorded_names())
def test_every_recorded_search_has_a_report(name: str) -> None:
    findings = recorded_findings(name)
    is_whole = os.environ.get("BSADVISE_REPLAY") == "whole"
    report = make_report(findings)
    page = render_page(report) if is_whole or name in DRAWN else render_page(report, undrawn)
    assert len(page.encode()) < MOST_BYTES
    assert len(report.log.rows) == len(findings.log)
    assert report.is_answer == (findings.recommendation.advice is not None)
    assert len(report.why) <= 3
    for figure in report.figures:
        assert figure.description
        assert all(len(row) == len(figure.table.head) for row in figure.table.rows)
    if is_whole or name in DRAWN:
        _check_whole(page, findings)


def _check_whole(page: str, findings: Findings) -> None:
    root = check_harmless(page)
    figures = [one.name for one in make_report(findings).figures]
    drawings = list(root.iter("svg"))
    assert len(drawings) == len(figures)
    for drawing in drawings:
        assert all(0 <= float(end) < 1_000 for end in drawing.get("viewBox", "").split())
        assert not [value for one in drawing.iter() for _, value in one.items() if "NaN" in value]
        named = drawing.get("aria-labelledby", "").split()
        children = {one.get("id"): one for one in drawing}
        assert all(text_of(children[name]).strip() for name in named)
        assert drawing.find(".//path") is not None or drawing.find(".//line") is not None
    ids = Counter(one.get("id") for one in root.iter() if one.get("id"))
    assert set(ids.values()) == {1}
    document = document_of(page)
    assert len(document["measurements"]) == len(findings.log)
    assert document["recommendation"]["recommendation_id"] in text_of(root)


def test_a_page_lets_its_own_style_through_and_nothing_else() -> None:
    root = parse(report_of(recorded_findings("time")))
    (style,) = root.iter("style")
    (policy,) = [
        one.get("content", "")
        for one in root.iter("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    ]
    digest = base64.b64encode(hashlib.sha256(text_of(style).encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == f"'sha256-{digest}'"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import", text_of(style))


def _hostile_findings() -> Findings:
    found = recorded_findings("time")
    fault = a_fault(message=HOSTILE, file=HOSTILE, traceback=HOSTILE, output=HOSTILE, fix=HOSTILE)
    log = tuple(
        replace(entry, outcome=replace(entry.outcome, caveats=(_caveat(),)))
        if isinstance(entry.outcome, MemoryTrace)
        else entry
        for entry in found.log
    )
    failed = a_measurement(InspectTask(time_limit_s=1.0), Failed(fault=fault))
    assert found.recommendation.advice is not None
    assert found.explanation is not None
    return Findings(
        recommendation=replace(
            found.recommendation,
            recommendation_id=HOSTILE,
            request=a_request(source=a_source(entry_path=HOSTILE), build_kwargs={"a": HOSTILE}),
            device=a_device(name=HOSTILE),
            advice=replace(
                found.recommendation.advice,
                lr_rule=HOSTILE,
                precision=HOSTILE,
                caveats=(_caveat(),),
            ),
        ),
        log=(*log, failed),
        explanation=replace(found.explanation, reasons=(*found.explanation.reasons, HOSTILE)),
    )


def _caveat() -> Caveat:
    return Caveat(code=CaveatCode.USER_WARNING, text=HOSTILE)


def _hostile_changes() -> Changes:
    change = Change(what=HOSTILE, where=HOSTILE, before=HOSTILE, after=HOSTILE)
    return Changes(values=(change,), command=HOSTILE, notes=(HOSTILE,))


def test_what_a_hostile_job_holds_is_text() -> None:
    page = report_of(_hostile_findings(), _hostile_changes())
    root = check_harmless(page)
    assert "<script>alert(1)</script>" in text_of(root)
    assert r"\x1b[31mred" in text_of(root)
    assert r"\u202eevil" in text_of(root)
    assert "{{ 7*7 }}" in text_of(root)


def test_a_hostile_traceback_is_text() -> None:
    fault = a_fault(message=HOSTILE, traceback=HOSTILE, output=HOSTILE)
    refusal = a_refusal(code=RefusalCode.MODEL_FILE, message=HOSTILE, fault=fault)
    log = (a_measurement(InspectTask(time_limit_s=1.0), Failed(fault=fault)),)
    root = check_harmless(report_of(findings_of(log, refusal)))
    (shown,) = root.iter("pre")
    assert text_of(shown).count("</svg>") == 2
    assert "No setting: model file" in text_of(root)


def test_two_hostile_jobs_are_text_side_by_side() -> None:
    both = compare(_hostile_findings(), recorded_findings("nan_loss"))
    root = check_harmless(render_comparison(both, undrawn))
    ids = Counter(one.get("id") for one in root.iter() if one.get("id"))
    assert set(ids.values()) == {1}
    assert "Nothing of this was measured." in text_of(root)


def test_two_jobs_are_told_apart_where_they_differ() -> None:
    one, other = recorded_findings("time"), recorded_findings("benchmark_digits_cnn")
    same = compare(one, one).differences.rows
    assert {row[-1] for row in same} == {""}
    differs = {row[0]: row for row in compare(one, other).differences.rows}
    assert differs["effective_batch_size"][-1] == "yes"
    assert differs["effective_batch_size"][1] != differs["effective_batch_size"][2]
    assert compare(one, other).figures[0][0] is not None


def test_the_report_of_two_hundred_trials_is_small() -> None:
    request = a_request(memory_limit_bytes=SimulatedDevice().limit_bytes)
    log = long_log(request, a_device(), 430)
    trials = {entry.command.trial_number for entry in log if isinstance(entry.command, Train)}
    assert len(trials) > 200
    findings = findings_of(log, an_advice(), request)
    page = report_of(findings)
    assert len(page.encode()) < MOST_BYTES
    assert len(document_of(page)["measurements"]) == len(log)


def test_a_longer_log_has_its_middle_in_the_document_alone() -> None:
    log = (a_measurement(),) * 1_200
    report = make_report(findings_of(log, an_advice()))
    assert len(report.log.rows) == 501
    assert "700 more" in report.log.rows[250]
    page = render_page(report, undrawn)
    assert len(page.encode()) < MOST_BYTES
    assert len(document_of(page)["measurements"]) == 1_200


def test_without_an_explanation_the_log_still_tells() -> None:
    findings = dataclasses.replace(recorded_findings("time"), explanation=None)
    report = make_report(findings)
    assert {"memory", "throughput", "map", "timeline"} <= {one.name for one in report.figures}
    check_harmless(render_page(report, undrawn))

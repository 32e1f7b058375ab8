"""Answers as people read them; each names what is measured, what predicted and what a rule."""

from __future__ import annotations

from bsadvise.cli.render.views.advice import advice_view
from bsadvise.cli.render.views.changes import change_rows
from bsadvise.cli.render.views.devices import devices_view
from bsadvise.cli.render.views.estimate import estimate_view, estimates_view
from bsadvise.cli.render.views.jobs import job_view, jobs_view
from bsadvise.cli.render.views.observation import observation_document, observation_view
from bsadvise.cli.render.views.tokens import tokens_view

__all__ = [
    "advice_view",
    "change_rows",
    "devices_view",
    "estimate_view",
    "estimates_view",
    "job_view",
    "jobs_view",
    "observation_document",
    "observation_view",
    "tokens_view",
]

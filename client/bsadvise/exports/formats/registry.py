"""The formats by name. A new one is a file beside this and a line in ``EXPORTS``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bsadvise.exports.formats import (
    accelerate,
    composer,
    deepspeed,
    env,
    hydra,
    lightning,
    transformers,
)
from bsadvise.exports.formats.settings import remarks
from bsadvise.model.advice import Advice

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One form of an advised setting.

    Attributes:
        name: What ``--output`` calls it.
        usage: How the text is given to the library.
        settings: The setting under the library's names.
        encode: Their text.
        has_comments: Whether lines that begin with ``#`` may stand before it.
    """

    name: str
    usage: str
    settings: Callable[[Advice], Settings]
    encode: Callable[[Settings], str]
    has_comments: bool

    def render(self, advice: Advice) -> str:
        """Return the text, after what it rests on where there can be comments."""
        text = self.encode(self.settings(advice))
        if not self.has_comments:
            return text
        return "".join(f"# {line}\n" for line in self.remarks(advice)) + text

    def remarks(self, advice: Advice) -> list[str]:
        """Return what the setting rests on, its caveats and how to use it, each in one line."""
        return [*remarks(advice), f"use: {self.usage}"]


def _variables(settings: Settings) -> str:
    # Numbers and words without blanks, which every reader of such files takes as they are.
    return "".join(f"{name}={_word(value)}\n" for name, value in settings.items())


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yaml(settings: Settings) -> str:
    text: str = yaml.safe_dump(dict(settings), sort_keys=False)
    return text


def _json(settings: Settings) -> str:
    return json.dumps(settings, indent=2, allow_nan=False) + "\n"


def _export(name: str, module: Any, encode: Callable[[Settings], str]) -> Export:  # noqa: ANN401
    return Export(
        name=name,
        usage=module.USAGE,
        settings=module.settings,
        encode=encode,
        has_comments=encode is not _json,
    )


EXPORTS: Mapping[str, Export] = {
    one.name: one
    for one in (
        _export("env", env, _variables),
        _export("hydra", hydra, _yaml),
        _export("lightning", lightning, _yaml),
        _export("transformers", transformers, _json),
        _export("accelerate", accelerate, _yaml),
        _export("deepspeed", deepspeed, _json),
        _export("composer", composer, _yaml),
    )
}

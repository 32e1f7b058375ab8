"""A Hydra sweeper that runs a job with the batch size and learning rate that are advised for it.

    python train.py --multirun hydra/sweeper=bsadvise hydra.sweeper.learning_rate_key=optimizer.lr

The application is measured as ``bsadvise recommend train.py -- OVERRIDES`` would, once for each
combination of what else is swept, and each combination is launched with its answer.
"""

from __future__ import annotations

import itertools
import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from bsadvise.model.advice import Advice
    from hydra.types import HydraContext, TaskFunction


_DEFAULTS: dict[str, Any] = {
    "_target_": "hydra_plugins.bsadvise_sweeper.sweeper.BsadviseSweeper",
    "batch_size_key": "batch_size",
    "learning_rate_key": "lr",
    "accumulation_key": None,
    "include": [],
    "options": {},
}
"""What ``hydra.sweeper`` holds; see ``BsadviseSweeper``.

No dataclass: Hydra runs this module before Python knows it, and a dataclass looks its module up.
"""

ConfigStore.instance().store(
    group="hydra/sweeper", name="bsadvise", node=_DEFAULTS, provider="bsadvise"
)


class BsadviseSweeper(Sweeper):
    """Asks for advice on each combination of overrides, and launches all with their answers."""

    def __init__(
        self,
        batch_size_key: str,
        learning_rate_key: str,
        accumulation_key: str | None,
        include: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        """Take note of what ``hydra.sweeper`` says.

        Args:
            batch_size_key: Key of the micro-batch size in the application's configuration.
            learning_rate_key: Key of the learning rate.
            accumulation_key: Key of the accumulation steps; None where it has none.
            include: Files and folders to send with the application.
            options: What is asked for, as keywords of ``bsadvise.Client.recommend``.
        """
        self._batch_size_key = batch_size_key
        self._learning_rate_key = learning_rate_key
        self._accumulation_key = accumulation_key
        self._include = include
        self._options = options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take note of the application, and make its launcher."""
        from hydra.core.plugins import Plugins  # noqa: PLC0415 - it imports this module

        self._config_loader = hydra_context.config_loader
        self._config = config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:  # noqa: ANN401 - as Hydra has it
        """Ask, write the answers to ``bsadvise.json`` in the sweep's directory, and launch.

        Raises:
            ApplyingFailed: A key is not in the configuration, or there is none to accumulate by.
            BsadviseError: There is no advice; the class says why.
        """
        self._check_keys()
        parser = OverridesParser.create(config_loader=self._config_loader)
        combinations = _combinations(parser.parse_overrides(arguments))
        answers = [self._ask(overrides) for overrides in combinations]
        jobs = [
            [*overrides, *self._overrides_of(advice)]
            for overrides, advice in zip(combinations, answers, strict=True)
        ]
        directory = Path(self._config.hydra.sweep.dir)
        directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self._config, directory / "multirun.yaml")
        kept = [
            {"overrides": job, "advice": advice.to_dict()}
            for job, advice in zip(jobs, answers, strict=True)
        ]
        (directory / "bsadvise.json").write_text(json.dumps(kept, indent=2), encoding="utf-8")
        results = self._launcher.launch(jobs, initial_job_idx=0)
        for result in results:
            _ = result.return_value  # Raises what the job raised.
        return [results]

    def _check_keys(self) -> None:
        from bsadvise.model.errors import ApplyingFailed  # noqa: PLC0415

        keys = (self._batch_size_key, self._learning_rate_key, self._accumulation_key)
        missing = [k for k in keys if k and OmegaConf.select(self._config, k) is None]
        if missing:
            raise ApplyingFailed(
                f"the configuration has no value {' and none '.join(missing)} to set: name yours "
                "by hydra.sweeper.batch_size_key, learning_rate_key and accumulation_key"
            )

    def _ask(self, overrides: Sequence[str]) -> Advice:
        from bsadvise.integrations.running_script import (  # noqa: PLC0415
            recommend_running_script,
        )

        return recommend_running_script(
            {str(name): value for name, value in self._options.items()},
            arguments=[*_configuration_flags(sys.argv[1:]), *overrides],
            include=self._include,
        )

    def _overrides_of(self, advice: Advice) -> list[str]:
        from bsadvise.exports.formats.settings import learning_rate  # noqa: PLC0415
        from bsadvise.model.errors import ApplyingFailed  # noqa: PLC0415

        if advice.accumulation_steps > 1 and self._accumulation_key is None:
            raise ApplyingFailed(
                f"{advice.accumulation_steps} micro-batches are to be accumulated, and "
                "hydra.sweeper.accumulation_key does not name by which key"
            )
        found = {
            self._batch_size_key: advice.micro_batch_size,
            self._accumulation_key: advice.accumulation_steps,
            self._learning_rate_key: learning_rate(advice),
        }
        return [f"{key}={value}" for key, value in found.items() if key and value is not None]


def _combinations(overrides: Sequence[Any]) -> list[list[str]]:
    """Return the overrides of each job: one for each combination of swept values."""
    choices = []
    for override in overrides:
        key = override.get_key_element()
        if override.is_sweep_override():
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([f"{key}={override.get_value_element_as_str()}"])
    return [list(combination) for combination in itertools.product(*choices)]


def _configuration_flags(arguments: Sequence[str]) -> list[str]:
    """Return the flags of a Hydra command line that say where its configuration is."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for short, long in (
        ("-cn", "--config-name"),
        ("-cp", "--config-path"),
        ("-cd", "--config-dir"),
    ):
        parser.add_argument(short, long)
    found = vars(parser.parse_known_args(arguments)[0])
    return [f"--{name.replace('_', '-')}={value}" for name, value in found.items() if value]

"""Searches on the recorded grids, without training: ``python -m benchmarks.replay``.

The real planner runs on the recordings of ``benchmarks.regret``, interpolated between settings. A
search takes a second and is random only by the sampler, so that variants of the search can be
compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.regret_bench.recording import path_of, read_recording
from benchmarks.regret_bench.replaying import Replay, replay
from benchmarks.regret_bench.surface import Surface
from benchmarks.regret_bench.variants import ALL, SAMPLERS, Variant
from benchmarks.regret_bench.workloads import DEVELOPMENT, WORKLOADS

RESULTS = Path(__file__).parent / "results" / "replay.json"
COSTS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 40.0)
SEEDS = (0, 1, 2)


def main() -> int:
    """Search, print what came of it, write it down, and return the exit code."""
    arguments = _parse(sys.argv[1:])
    variant = Variant(arguments.sampler, arguments.penalises_noise)
    variants = ALL if arguments.all_variants else [variant]
    surfaces = [Surface(read_recording(path_of(name))) for name in arguments.workloads]
    replays = [
        replay(surfaces, variant, cost, arguments.seeds)
        for variant in variants
        for cost in arguments.costs
    ]
    Console(width=120).print(table(replays))
    output: Path = arguments.output
    text = json.dumps(document(replays, arguments.seeds), indent=1)
    output.write_text(text + "\n", encoding="utf-8")
    return 0


def table(replays: Sequence[Replay]) -> Table:
    """Return one row per variant, one column per cost: mean and worst."""
    result = Table(
        title="Time to the target over the oracle's, by search cost over the same: "
        "geometric mean / worst of the workloads"
    )
    result.add_column("search")
    costs = list(dict.fromkeys(one.cost for one in replays))
    for cost in costs:
        result.add_column(f"{cost:g}x", justify="right")
    for variant in dict.fromkeys(one.variant for one in replays):
        by_cost = {one.cost: one for one in replays if one.variant == variant}
        result.add_row(variant.title, *(_both(by_cost[cost]) for cost in costs))
    return result


def document(replays: Sequence[Replay], seeds: Sequence[int]) -> dict[str, object]:
    """Return the content of the JSON file."""
    return {
        "command": "python -m benchmarks.replay --all-variants",
        "seeds": list(seeds),
        "replays": [
            {
                "search": one.variant.title,
                "cost_over_oracle": one.cost,
                "mean": round(one.mean, 4),
                "worst": round(one.ratios[one.worst_workload], 4),
                "worst_workload": one.worst_workload,
                "ratios": {name: round(ratio, 4) for name, ratio in one.ratios.items()},
            }
            for one in replays
        ],
    }


def _both(one: Replay) -> str:
    return f"{one.mean:.2f} / {one.ratios[one.worst_workload]:.2f}"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [workload.name for workload in (*WORKLOADS, *DEVELOPMENT)]
    tuned = [workload.name for workload in WORKLOADS if not workload.is_held_out]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument(
        "workloads",
        nargs="*",
        default=tuned,
        metavar="WORKLOAD",
        help=f"of {', '.join(names)}; those not held out by default",
    )
    parser.add_argument(
        "--costs",
        nargs="+",
        type=float,
        default=list(COSTS),
        metavar="COST",
        help="seconds that a search may take, over the oracle's time",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), metavar="N")
    parser.add_argument(
        "--sampler", choices=list(SAMPLERS), default="tpe", help="what proposes settings"
    )
    parser.add_argument(
        "--noise-penalty",
        dest="penalises_noise",
        type=lambda text: {"on": True, "off": False}[text],
        default=True,
        metavar="on|off",
        help="whether a high ratio of learning rate to batch size counts against a trial",
    )
    parser.add_argument(
        "--all-variants", action="store_true", help="all of the search's parts left out, in turn"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""bsadvise, through its public client and a daemon that is already up."""

from __future__ import annotations

import time

from bsadvise import Client

from benchmarks.memory_bench.cases import WARM_UP, Case
from benchmarks.memory_bench.found import Found, Peak


def estimate(case: Case) -> Found:
    """Return what ``bsadvise estimate --memory-limit`` makes of a case."""
    with Client() as client:
        client.estimate_memory(WARM_UP.path, device="cpu", memory_limit_bytes=WARM_UP.limit_bytes)
        begun_s = time.perf_counter()
        answer = client.estimate_memory(
            case.path, device="cpu", memory_limit_bytes=case.limit_bytes
        )
        search_s = time.perf_counter() - begun_s
    fitting = [p for p in answer.points if p.micro_batch_size <= answer.max_micro_batch_size]
    largest = max(fitting, key=lambda point: point.micro_batch_size)
    return Found(
        batch_size=answer.max_micro_batch_size,
        sizes_tried=tuple(point.micro_batch_size for point in answer.points),
        run_count=answer.search.probe_count,
        samples=answer.search.probe_samples,
        out_of_memory_count=answer.search.out_of_memory_count,
        search_s=search_s,
        predicted_peak=Peak(batch_size=largest.micro_batch_size, peak_bytes=largest.peak_bytes),
        note=" ".join(caveat.text for caveat in answer.caveats),
    )


def recommend(case: Case) -> Found:
    """Return what ``bsadvise recommend --no-trials --memory-limit`` makes of a case.

    It answers more than was asked here: it also times steps and runs its advice.
    """
    with Client() as client:
        client.estimate_memory(WARM_UP.path, device="cpu", memory_limit_bytes=WARM_UP.limit_bytes)
        begun_s = time.perf_counter()
        job = client.create_recommendation(
            case.path,
            device="cpu",
            memory_limit_bytes=case.limit_bytes,
            max_trials=0,
            use_cache=False,
        )
        for _ in client.watch(job.recommendation_id):
            pass
        job = client.get(job.recommendation_id)
        search_s = time.perf_counter() - begun_s
        log = client.measurements(job.recommendation_id)
    if job.advice is None:
        raise RuntimeError(f"no advice for {case.name}: {job.refusal}")
    search = job.advice.search
    sizes = (getattr(entry.command, "micro_batch_size", None) for entry in log)
    return Found(
        batch_size=job.advice.max_micro_batch_size,
        sizes_tried=tuple(size for size in sizes if size is not None),
        run_count=search.probe_count,
        samples=search.probe_samples,
        out_of_memory_count=search.out_of_memory_count,
        search_s=search_s,
        note="" if job.advice.verified else "The advice was not verified.",
    )

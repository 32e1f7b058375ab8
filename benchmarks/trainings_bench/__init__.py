"""Advice for trainings of a stated length and schedule against the best setting of a grid of them.

workloads ──> times: seconds of a step by batch size, of a processor that nothing else uses
                │
              recording: whole trainings of a grid ──> grid: which are trained next
                │
methods: ours, rules, Lightning's tuner, Optuna
                │  comparison asks each method, and trains its answer whole
              judging: time at an equal final loss, and loss gap ──> report
"""

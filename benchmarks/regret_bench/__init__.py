"""How near advice comes to the best of a brute-force grid, and what the advice costs.

workloads ──> oracle ──> recording: a grid's curves, and the clock of everything below
                           │
                         target: the loss to come to, and the grid's best
                           │
methods: ours (on a modelled worker), rules, finder, sampling
                           │  compare asks each, and trains what it answers
                         answers, arrivals ──> results ──> summary ──> table, plot, report
"""

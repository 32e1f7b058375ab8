"""Time to target of the advice against the best setting of a grid, and the cost of the search.

workloads ──> oracle ──> recording: the grid's curves and step times, from which time is modelled
                           │
                         target: the target loss, and the best settings of the grid
                           │
methods: ours (on a modelled worker), rules, lightning_tuner, sampling
                           │  compare asks each method, and trains its answers
                         answers, times_to_target ──> results ──> summary ──> table, plot, report
"""

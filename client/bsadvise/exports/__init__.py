"""An answer in the formats of other programs: what is written is pure, where it goes is the edge.

``formats`` has the advised setting for training libraries, ``study`` a job's trials for Optuna.
"""

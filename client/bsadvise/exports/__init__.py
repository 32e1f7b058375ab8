"""An answer for elsewhere: what is written is pure, where it goes is the edge.

``formats`` has the advised setting as training libraries read it, ``changes`` what to change for it
in the user's own files, ``study`` a job's trials for Optuna.
"""

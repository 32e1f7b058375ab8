"""Where trial settings come from: Optuna, behind the proposer's port. Alone imports optuna."""

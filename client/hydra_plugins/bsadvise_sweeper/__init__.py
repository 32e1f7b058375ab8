"""Hydra's sweeper ``bsadvise``. Hydra imports all plugins at each start: this one loads little."""

"""``python -m bsadvise`` is the command ``bsadvise``."""

from bsadvise.cli.main import main

main()

"""The fake daemon as a process of its own, started with a daemon's options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.support.fake_server import FakeDaemon


def main() -> None:
    """Serve on the socket until standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--private", action="store_true", required=True)
    parser.add_argument("--until-stdin-closes", action="store_true", required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    with FakeDaemon(parser.parse_args().socket):
        sys.stdin.read()


if __name__ == "__main__":
    main()

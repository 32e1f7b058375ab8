"""Writes a configuration, and has another process train with it."""

import json
import subprocess
import sys
from pathlib import Path

_, mode, *options = sys.argv
Path("run.json").write_text(json.dumps(options), encoding="utf-8")
program = {"launch": "train.py", "loader": "load.py"}[mode]
subprocess.run(["python", program, "--config", "run.json", *options], check=True)
Path("done").touch()

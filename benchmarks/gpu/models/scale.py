"""Which size of the models is built, and whether it is compiled.

``python -m benchmarks.gpu`` sends the files of this folder with the next line changed where there
is no GPU, so that the same files train in seconds on a CPU.
"""

from __future__ import annotations

import shutil

IS_SMALL = False

# What torch.compile makes for a GPU is called through C that it compiles.
IS_COMPILED = not IS_SMALL and (shutil.which("gcc") or shutil.which("cc")) is not None

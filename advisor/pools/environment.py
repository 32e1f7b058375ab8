"""Which of the daemon's environment variables user code may see: an allow-list.

It applies when the fork server is started, not in the worker: a process can always read the
environment that it, or what it was forked from, was started with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_ALLOWED = re.compile(
    r"""
    PATH | HOME | USER | LOGNAME | SHELL | TZ | TMPDIR | XDG_CACHE_HOME | XDG_DATA_HOME
    | LANG | LANGUAGE | LC_[A-Z]+
    | LD_LIBRARY_PATH | PYTHONPATH | PYTHONHASHSEED | VIRTUAL_ENV | CONDA_PREFIX
    | (OMP|MKL|OPENBLAS|KMP|GOMP|NUMEXPR)_\w+
    | (CUDA|CUDNN|CUBLAS|NCCL|NVIDIA|TORCH|TORCHINDUCTOR|PYTORCH|TRITON)_\w+
    | (AMD|HIP|HSA|MIOPEN|RCCL|ROCM|ROCR)_\w+
    | SSL_CERT_FILE | SSL_CERT_DIR | REQUESTS_CA_BUNDLE
    | HF_HOME | HF_HUB_CACHE | HF_DATASETS_CACHE | HF_HUB_OFFLINE | TRANSFORMERS_OFFLINE
    """,
    re.VERBOSE,
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY")


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that workers may have."""
    return {
        name: value
        for name, value in environment.items()
        if _ALLOWED.fullmatch(name) and not _SECRET.search(name)
    }

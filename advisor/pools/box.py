"""The box around user code: how much it may take of the machine, and what it may reach."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from advisor.domain.device import DeviceKind
from advisor.pipe.v1 import pipe_pb2
from advisor.ports.worker_pool import WorkerJob

_SPARE_THREADS = 8192
"""Added to the threads that the machine has when a worker starts; a second wall behind the count
of its processes, and one that does not hold root."""

_FILE_SHARE = 0.5
"""Share of what is free on the disk of the checkpoints that a single file may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the processes of one worker may take together; None for no limit.

    Attributes:
        memory_bytes: Of the machine's memory.
        process_count: Processes, the worker among them.
        scratch_bytes: Of the disk of the scratch directory.
        cpu_s: Processor time of each process.
    """

    memory_bytes: int | None = None
    process_count: int | None = 512
    scratch_bytes: int | None = None
    cpu_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a worker in a sandbox may reach beside what every worker needs.

    Attributes:
        readable_paths: Data and code that it may read.
        hidden_paths: What it may not read, though it lies below one that it may.
        allow_network: Whether it may open connections.
        replace_home: Whether its home directory is to be an empty one.
    """

    readable_paths: tuple[Path, ...] = ()
    hidden_paths: tuple[Path, ...] = ()
    allow_network: bool = False
    replace_home: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The box of all workers of a pool.

    Attributes:
        limits: How much they may take.
        reach: What they may reach; None for everything, which is to have no sandbox.
    """

    limits: Limits = field(default_factory=Limits)
    reach: Reach | None = None

    def confinement(self, job: WorkerJob) -> pipe_pb2.Confinement:
        """Return what the worker of a job is to take upon itself."""
        is_cuda = job.device.kind is DeviceKind.CUDA and job.device.present
        return pipe_pb2.Confinement(
            file_bytes=_largest_file(job.checkpoint_dir),
            # CUDA maps far more than it uses.
            data_bytes=None if is_cuda else self.limits.memory_bytes,
            cpu_s=self.limits.cpu_s,
            thread_count=_threads_now() + _SPARE_THREADS,
            sandbox=None if self.reach is None else _sandbox(self.reach),
        )


def _sandbox(reach: Reach) -> pipe_pb2.Sandbox:
    return pipe_pb2.Sandbox(
        readable_paths=map(str, reach.readable_paths),
        hidden_paths=map(str, reach.hidden_paths),
        allow_network=reach.allow_network,
        replace_home=reach.replace_home,
    )


def _largest_file(directory: Path) -> int:
    disk = os.statvfs(directory)
    return int(_FILE_SHARE * disk.f_bavail * disk.f_frsize)


def _threads_now() -> int:
    # "0.10 0.20 0.30 2/345 6789": running and all, of every user.
    loads = Path("/proc/loadavg").read_text(encoding="ascii").split()
    return int(loads[3].partition("/")[2])


_SYSTEM_SECRETS = (
    "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/sudoers",
    "/etc/sudoers.d", "/etc/ssl/private", "/etc/bsadvise", "/root", "/run/secrets",
)  # fmt: skip
_HOME_SECRETS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh",
    ".config/hub", ".config/git/credentials", ".config/rclone", ".config/containers",
    ".config/bsadvise", ".git-credentials", ".netrc", ".pgpass", ".my.cnf", ".pypirc", ".npmrc",
    ".yarnrc.yml", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".s3cfg",
    ".boto", ".terraform.d", ".terraformrc", ".vault-token", ".password-store",
    ".local/share/keyrings", ".mozilla", ".config/google-chrome", ".config/chromium", ".ray",
    ".kaggle", ".huggingface/token", ".cache/huggingface/token",
    ".cache/huggingface/stored_tokens", ".bash_history", ".zsh_history", ".python_history",
)  # fmt: skip


def shared_reach(
    state_dir: Path, data_paths: tuple[Path, ...], home: Path, *, allow_network: bool
) -> Reach:
    """Return the reach of strangers' code: the data paths alone.

    Args:
        state_dir: The daemon's own directory.
        data_paths: What model files may read.
        home: The home directory of the daemon's user.
        allow_network: Whether they may open connections.
    """
    return Reach(
        readable_paths=data_paths,
        hidden_paths=(state_dir, *_secrets(home)),
        allow_network=allow_network,
    )


def private_reach(state_dir: Path, home: Path, *, allow_network: bool) -> Reach:
    """Return the reach of the user's own code: all that they have, but for what opens doors.

    Their data may lie anywhere; what a library from the network could do harm with are keys and
    tokens, and what it could change.
    """
    return Reach(
        readable_paths=(Path("/"),),
        hidden_paths=(state_dir, *_secrets(home)),
        allow_network=allow_network,
        replace_home=False,
    )


def _secrets(home: Path) -> tuple[Path, ...]:
    system = (Path(path) for path in _SYSTEM_SECRETS)
    # Root's own home is not another user's.
    own = (path for path in system if not home.is_relative_to(path))
    return (*own, *(home / name for name in _HOME_SECRETS))

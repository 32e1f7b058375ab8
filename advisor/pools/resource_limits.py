"""How user code is isolated: how much it may take of the machine, and what it may reach."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from bsadvise.model.device import DeviceKind

from advisor.pipe.v1 import pipe_pb2
from advisor.pools.cgroup import Delegation
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
        scratch_bytes: Of the disk of the scratch directory; of memory, where a worker has
            namespaces.
        cpu_s: Processor time of each process.
    """

    memory_bytes: int | None = None
    process_count: int | None = 512
    scratch_bytes: int | None = None
    cpu_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a worker in a sandbox may reach in addition to what every worker needs.

    Attributes:
        readable_paths: Data and code that it may read.
        hidden_paths: What it may not read, though it lies below one of these.
        allow_network: Whether it may open connections.
        replace_home: Whether its home directory is to be an empty one.
        source_roots: Directories below which all bundles lie.
        writable_roots: Directories below which all checkpoints lie.
    """

    readable_paths: tuple[Path, ...] = ()
    hidden_paths: tuple[Path, ...] = ()
    allow_network: bool = False
    replace_home: bool = True
    source_roots: tuple[Path, ...] = ()
    writable_roots: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """How all workers of a pool are isolated.

    Attributes:
        limits: How much they may take.
        sandbox: "off", "landlock", "bwrap" or "namespaces"; see advisor.pools.sandbox.
        reach: What they may reach in a sandbox.
        groups: Gives each a control group of the kernel's; None where none is delegated.
    """

    limits: Limits = field(default_factory=Limits)
    sandbox: str = "off"
    reach: Reach = field(default_factory=Reach)
    groups: Delegation | None = None

    def confinement(self, job: WorkerJob) -> pipe_pb2.Confinement:
        """Return what the worker of a job is to take upon itself."""
        is_gpu = job.device.kind is not DeviceKind.CPU and job.device.present
        return pipe_pb2.Confinement(
            file_bytes=_largest_file(job.checkpoint_dir),
            # CUDA and ROCm map far more than they use.
            data_bytes=None if is_gpu else self.limits.memory_bytes,
            cpu_s=self.limits.cpu_s,
            thread_count=_threads_now() + _SPARE_THREADS,
            sandbox=None if self.sandbox == "off" else self._sandbox(is_gpu=is_gpu),
        )

    def _sandbox(self, *, is_gpu: bool) -> pipe_pb2.Sandbox:
        reach, limits = self.reach, self.limits
        sizes = [size for size in (limits.scratch_bytes, limits.memory_bytes) if size is not None]
        return pipe_pb2.Sandbox(
            readable_paths=map(str, reach.readable_paths),
            hidden_paths=map(str, reach.hidden_paths),
            allow_network=reach.allow_network,
            replace_home=reach.replace_home,
            allow_memory_files=is_gpu or self.groups is not None,
            has_namespaces=self.sandbox == "namespaces",
            # Strangers' code alone: the user's own reads and writes what is the user's.
            change_user=reach.replace_home,
            scratch_bytes=min(sizes, default=0),
            shared_memory_bytes=limits.memory_bytes or 0,
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
    "/etc/sudoers.d", "/etc/ssl/private", "/etc/bsadvise", "/run/secrets",
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
    state_dir: Path,
    home: Path,
    *,
    data_paths: tuple[Path, ...],
    allow_network: bool,
    closed: tuple[Path, ...] = (),
) -> Reach:
    """Return the reach of strangers' code: the data paths alone.

    Args:
        state_dir: The daemon's own directory.
        home: The home directory of the daemon's user.
        data_paths: What model files may read.
        allow_network: Whether they may open connections.
        closed: What else they may not read.
    """
    return Reach(
        readable_paths=data_paths,
        hidden_paths=(state_dir, *closed, *_secrets(home)),
        allow_network=allow_network,
        source_roots=(state_dir / "sources",),
        writable_roots=(state_dir / "checkpoints", state_dir / "scratch"),
    )


def private_reach(
    state_dir: Path, home: Path, *, allow_network: bool, closed: tuple[Path, ...] = ()
) -> Reach:
    """Return the reach of the user's own code: all that they have, but for keys and tokens.

    Their data may lie anywhere; what a library from the network could do harm with are keys and
    tokens, and what it could change.
    """
    shared = shared_reach(
        state_dir, home, data_paths=(Path("/"),), allow_network=allow_network, closed=closed
    )
    return replace(shared, replace_home=False)


def _secrets(home: Path) -> tuple[Path, ...]:
    return (*map(Path, _SYSTEM_SECRETS), *(home / name for name in _HOME_SECRETS))

"""The CPU, with the memory limits of the control groups that this process is in."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from advisor.devices.cpu import read_cpu

MIB = 1 << 20


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def _group(path: str, limit: str, used_mib: int, reclaimable_mib: int = 0) -> dict[str, str]:
    base = f"sys/fs/cgroup/{path}".rstrip("/")
    return {
        f"{base}/memory.max": f"{limit}\n",
        f"{base}/memory.current": f"{used_mib * MIB}\n",
        f"{base}/memory.stat": f"anon 1\ninactive_file {reclaimable_mib * MIB}\nslab 2\n",
    }


def test_this_machine() -> None:
    cpu = read_cpu()
    assert cpu.name
    assert 0 < (cpu.free_bytes or 0) <= cpu.total_bytes <= psutil.virtual_memory().total


def test_with_no_limit_all_memory_is_ours(tmp_path: Path) -> None:
    root = _write(tmp_path, {"proc/self/cgroup": "0::/a\n", **_group("a", "max", 5)})
    assert read_cpu(root).total_bytes == psutil.virtual_memory().total


def test_with_no_control_groups_all_memory_is_ours(tmp_path: Path) -> None:
    assert read_cpu(tmp_path).total_bytes == psutil.virtual_memory().total


def test_a_limit_is_the_memory_that_there_is(tmp_path: Path) -> None:
    root = _write(tmp_path, {"proc/self/cgroup": "0::/a\n", **_group("a", str(64 * MIB), 24)})
    cpu = read_cpu(root)
    assert (cpu.total_bytes, cpu.free_bytes) == (64 * MIB, 40 * MIB)


def test_cached_files_can_be_taken_back(tmp_path: Path) -> None:
    group = _group("a", str(64 * MIB), 24, reclaimable_mib=10)
    root = _write(tmp_path, {"proc/self/cgroup": "0::/a\n", **group})
    assert read_cpu(root).free_bytes == 50 * MIB


@pytest.mark.parametrize(("outer", "inner"), [(64, 128), (128, 64)])
def test_the_least_limit_of_all_ancestors_counts(tmp_path: Path, outer: int, inner: int) -> None:
    groups = {
        **_group("a", str(outer * MIB), 30),
        **_group("a/b", "max", 20),
        **_group("a/b/c", str(inner * MIB), 10),
    }
    cpu = read_cpu(_write(tmp_path, {"proc/self/cgroup": "0::/a/b/c\n", **groups}))
    assert cpu.total_bytes == 64 * MIB
    assert cpu.free_bytes == min(outer - 30, inner - 10) * MIB


def test_a_group_over_its_limit_has_nothing_free(tmp_path: Path) -> None:
    root = _write(tmp_path, {"proc/self/cgroup": "0::/a\n", **_group("a", str(64 * MIB), 70)})
    assert read_cpu(root).free_bytes == 0


def test_in_a_container_the_mount_is_the_group(tmp_path: Path) -> None:
    # The path is the host's, and of it nothing is to be seen in the container.
    root = _write(
        tmp_path,
        {"proc/self/cgroup": "0::/system.slice/docker-1\n", **_group("", str(64 * MIB), 4)},
    )
    assert read_cpu(root).total_bytes == 64 * MIB


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/memory/docker/1"
    root = _write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
            f"{base}/memory.limit_in_bytes": f"{64 * MIB}\n",
            f"{base}/memory.usage_in_bytes": f"{32 * MIB}\n",
            f"{base}/memory.stat": f"inactive_file 1\ntotal_inactive_file {8 * MIB}\n",
        },
    )
    cpu = read_cpu(root)
    assert (cpu.total_bytes, cpu.free_bytes) == (64 * MIB, 40 * MIB)


def test_the_name_is_the_makers(tmp_path: Path) -> None:
    text = (
        "processor\t: 0\nmodel name\t: Fast CPU @ 3.0 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n"
    )
    assert read_cpu(_write(tmp_path, {"proc/cpuinfo": text})).name == "Fast CPU @ 3.0 GHz"


def test_a_cpu_that_names_no_model_has_a_name_still(tmp_path: Path) -> None:
    assert read_cpu(_write(tmp_path, {"proc/cpuinfo": "processor\t: 0\n"})).name

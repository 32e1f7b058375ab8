"""Settings come from the place with the most say, and errors name the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.config.loading import load_settings
from advisor.config.settings import ConfigError, Settings


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bsadvise.toml"
    path.write_text(text)
    return path


def test_defaults_follow_the_xdg_directories() -> None:
    environment = {"HOME": "/home/me", "XDG_STATE_HOME": "/state", "XDG_RUNTIME_DIR": "/run/me"}
    settings = load_settings({}, environment)
    assert settings == Settings(
        state_dir=Path("/state/bsadvise"), socket=Path("/run/me/bsadvise/bsadvise.sock")
    )


def test_without_them_all_is_below_the_home() -> None:
    settings = load_settings({}, {"HOME": "/home/me", "XDG_STATE_HOME": "not/absolute"})
    assert settings.state_dir == Path("/home/me/.local/state/bsadvise")
    assert settings.socket == settings.state_dir / "bsadvise.sock"


def test_flags_go_before_variables_before_the_file(tmp_path: Path) -> None:
    path = _write(tmp_path, '[daemon]\nlease_s = 10\nlisten = "127.0.0.1:1"\nstate_dir = "/file"\n')
    environment = {"BSADVISE_LISTEN": "127.0.0.1:2", "BSADVISE_STATE_DIR": "/variable"}
    flags = {"state_dir": "/flag", "listen": None, "private": None}
    settings = load_settings(flags, environment, path)
    assert settings.lease_s == 10.0
    assert settings.listen == "127.0.0.1:2"
    assert settings.state_dir == Path("/flag")
    assert not settings.private


def test_the_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    path = _write(tmp_path, "[daemon]\nprivate = true\n[client]\nanything = 1\n")
    assert load_settings({}, {"BSADVISE_CONFIG": str(path)}).private


def test_the_file_is_found_in_the_configuration_directory(tmp_path: Path) -> None:
    (tmp_path / "bsadvise").mkdir()
    _write(tmp_path / "bsadvise", '[daemon]\nlog_level = "debug"\n')
    assert load_settings({}, {"XDG_CONFIG_HOME": str(tmp_path)}).log_level == "debug"


def test_the_working_directory_is_not_a_place_for_a_daemons_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"HOME": str(tmp_path)}
    _write(tmp_path, "[daemon]\nlease_s = 7\n")
    with pytest.raises(ConfigError, match=r"decides nothing about a daemon; .* --config"):
        load_settings({}, environment)
    assert load_settings({"private": True}, environment).lease_s == 30
    assert load_settings({}, environment, Path("bsadvise.toml")).lease_s == 7
    _write(tmp_path, "device = 'cpu'\n")
    assert load_settings({}, environment).lease_s == 30


def test_relative_folders_are_ignored_and_no_home_is_told(tmp_path: Path) -> None:
    relative = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "config"}
    assert load_settings({}, relative).socket == tmp_path / ".local/state/bsadvise/bsadvise.sock"
    with pytest.raises(ConfigError, match="set HOME or XDG_STATE_HOME"):
        load_settings({}, {"HOME": "here"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[daemon]\nlease = 3\n", r"\[daemon\] 'lease' is not known; did you mean 'lease_s'"),
        ("[deamon]\n", "table 'deamon' is not known; did you mean 'daemon'"),
        ("[daemon]\nlease_s = 0\n", r"bsadvise.toml: \[daemon\] lease_s: must be 1 to 3600"),
        ("[daemon]\nlease_s = true\n", r"lease_s: must be a number"),
        ('[daemon]\nprivate = "perhaps"\n', r"private: must be true or false"),
        ("[daemon]\nlisten = 3\n", r"listen: must be text"),
        ("[daemon]\nmax_queued = -1\n", "max_queued: must be a whole number"),
        ("[daemon]\nmax_queued = true\n", "max_queued: must be a whole number"),
        ('[daemon]\ntls_key = "k"\n', "go together"),
        ("daemon = 3\n", "daemon must be a table"),
        ("lease_s = 3\n", r"'lease_s' is the daemon's; it belongs into \[daemon\]"),
        ("[client]\nseed = 1\n[daemon]\nlease = 3\n", r"\[daemon\] 'lease' is not known"),
        ("[daemon\n", "bsadvise.toml: "),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings({}, {}, _write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml"):
        load_settings({}, {}, tmp_path / "nothing.toml")


def test_limits_may_be_lifted(tmp_path: Path) -> None:
    path = _write(tmp_path, '[daemon]\nmax_queued = "none"\ndevice_s_per_day = 3600\n')
    settings = load_settings({}, {"BSADVISE_UPLOAD_BYTES_PER_DAY": "7"}, path)
    limits = (settings.max_queued, settings.device_s_per_day, settings.upload_bytes_per_day)
    assert limits == (None, 3600, 7)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="BSADVISE_LEASE_S: must be a number"):
        load_settings({}, {"BSADVISE_LEASE_S": "soon"})


def test_a_wrong_flag_is_named() -> None:
    with pytest.raises(ConfigError, match="--log-format: must be one of"):
        load_settings({"log_format": "xml"}, {})


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db/x", "postgresql://db/x?password=secret"]
)
def test_a_password_among_the_arguments_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="set BSADVISE_DATABASE") as refused:
        load_settings({"database": url}, {})
    assert "secret" not in str(refused.value)
    assert load_settings({}, {"BSADVISE_DATABASE": url}).database == url
    assert load_settings({"database": "postgresql://me@db/x"}, {}).database is not None


def test_what_confines_model_files_is_set(tmp_path: Path) -> None:
    path = _write(tmp_path, '[daemon]\ndata_paths = ["/data", "~/more"]\nworker_processes = 9\n')
    environment = {"BSADVISE_SANDBOX": "landlock", "BSADVISE_PYTHONS": "/a/python:/b/python"}
    settings = load_settings({"allow_network": True}, environment, path)
    assert settings.sandbox == "landlock"
    assert settings.data_paths == (Path("/data"), Path("~/more").expanduser())
    assert settings.pythons == (Path("/a/python"), Path("/b/python"))
    assert (settings.allow_network, settings.worker_processes) == (True, 9)


@pytest.mark.parametrize("source", ["flag", "variable", "file"])
def test_paths_are_read_alike_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "live").mkdir()
    (tmp_path / "live/cert.pem").symlink_to(tmp_path / "archived.pem")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {"tls_cert": "../live/./cert.pem", "tls_key": "~/live/key.pem", "listen": "h:1"}
    text = "[daemon]\n" + "".join(f'{name} = "{value}"\n' for name, value in given.items())
    _write(tmp_path, text if source == "file" else "")
    flags = given if source == "flag" else {}
    variables = {f"BSADVISE_{name.upper()}": value for name, value in given.items()}
    environment = {"HOME": str(tmp_path), **(variables if source == "variable" else {})}
    settings = load_settings(flags, environment, Path("../here/../bsadvise.toml"))
    # A certificate that is renewed is a link that leads elsewhere: the link is what is read.
    assert settings.tls_cert == tmp_path / "live/cert.pem"
    assert settings.tls_key == tmp_path / "live/key.pem"


@pytest.mark.parametrize("text", ['sandbox = "jail"', "data_paths = 3", "worker_processes = -1"])
def test_what_cannot_confine_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="must be"):
        load_settings({}, {}, _write(tmp_path, f"[daemon]\n{text}\n"))

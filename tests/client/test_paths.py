"""However a path is written, it is the same file, and keeps the place where the user sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bsadvise import AsyncClient, Client, Credentials
from bsadvise.cli.main import cli
from bsadvise.model.errors import AddressUnusable
from bsadvise.paths import normalise
from bsadvise.v1.recommendation_service_pb2 import CreateRecommendationRequest
from bsadvise.v1.source_service_pb2 import CheckSourceRequest, SourceBundle
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_server import FakeDaemon

Run = Callable[..., Result]

PARTS = st.lists(
    st.sampled_from(["a", "b", "up", "down", "loop", "file.py", ".", ".."]), max_size=8
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders a, a/b and b, files in them, and links up, down and in a circle."""
    root = tmp_path_factory.mktemp("tree")
    for folder in (root, root / "a", root / "a/b", root / "b"):
        folder.mkdir(exist_ok=True)
        (folder / "file.py").touch()
    (root / "a/b/up").symlink_to("../..")
    (root / "down").symlink_to("a/b")
    (root / "b/down").symlink_to(root / "a/b", target_is_directory=True)
    (root / "a/loop").symlink_to("loop")
    return root


@given(parts=PARTS)
def test_it_is_the_file_that_the_system_opens(tree: Path, parts: list[str]) -> None:
    written = os.path.join(tree, *parts)  # noqa: PTH118 - pathlib would drop dots
    normal = normalise(written)
    assert normal.is_absolute()
    assert not {".", ".."} & set(normal.parts)
    assert normalise(normal) == normal
    if Path(written).exists():
        assert normal.samefile(written)


@given(parts=PARTS.filter(lambda parts: ".." not in parts))
def test_links_are_kept(tree: Path, parts: list[str]) -> None:
    assert normalise(tree.joinpath(*parts)) == tree.joinpath(*parts)


def test_a_home_is_found_and_a_file_of_that_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert normalise("~/model.py") == tmp_path / "home/model.py"
    assert normalise("~/../model.py") == tmp_path / "model.py"
    assert normalise("./~/model.py") == tmp_path / "~/model.py"
    assert normalise("~nobody-of-this-name/x") == tmp_path / "~nobody-of-this-name/x"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with imports and data; the working directory is another one beside it."""
    project = tmp_path / "my project"
    (project / "data").mkdir(parents=True)
    (project / "model.py").write_text("import helper\n")
    (project / "helper.py").touch()
    (project / "data/words.txt").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "linked").symlink_to(project, target_is_directory=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    return project


WAYS = {
    "relative": "../my project",
    "with dots": ".././here/../my project/data/..",
    "absolute": "{parent}/my project",
    "absolute with dots": "{parent}/here/../my project",
    "below the home": "~/my project",
    "through a linked folder": "../linked",
    "back through a linked folder": "../linked/data/../../my project",
}


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def folder(request: pytest.FixtureRequest, project: Path) -> str:
    way: str = request.param
    return way.format(parent=project.parent)


def _sent(daemon: FakeDaemon, digest: str) -> set[str]:
    return {file.path for file in SourceBundle.FromString(daemon.sources[digest]).files}


@pytest.fixture
def run(daemon: FakeDaemon) -> Run:
    def invoke(*arguments: object, **variables: str) -> Result:
        environment = {"BSADVISE_ADDRESS": daemon.address, **variables}
        return CliRunner().invoke(cli, [str(one) for one in arguments], env=environment)

    return invoke


def test_the_command_line_takes_any_way_to_a_file(
    run: Run, daemon: FakeDaemon, project: Path, folder: str
) -> None:
    (project / "settings.toml").write_text("seed = 9\n")
    python = f"{folder}/python"
    result = run(
        "--config", f"{folder}/settings.toml", "recommend", f"{folder}/model.py",
        "--include", f"{folder}/data", "--save", f"{folder}/answer.json", "--python", python,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    (asked,) = (r.request for r in daemon.requests if isinstance(r, CreateRecommendationRequest))
    assert asked.source.entry_path == "model.py"
    assert _sent(daemon, asked.source.digest) == {"model.py", "helper.py", "data/words.txt"}
    assert asked.seed == 9
    assert (project / "answer.json").exists()
    assert asked.python == str(normalise(python))


def test_variables_take_any_way_to_a_file(
    run: Run, daemon: FakeDaemon, project: Path, folder: str
) -> None:
    included = os.pathsep.join([f"{folder}/data", f"{folder}/helper.py"])
    result = run("estimate", f"{folder}/model.py", BSADVISE_INCLUDE=included)

    assert result.exit_code == 0, result.output
    (digest,) = daemon.sources
    assert _sent(daemon, digest) == {"model.py", "helper.py", "data/words.txt"}


async def test_the_library_takes_any_way_to_a_file(
    daemon: FakeDaemon, project: Path, folder: str
) -> None:
    with Client(daemon.address) as client:
        source = client.upload(f"{folder}/model.py", include=[f"{folder}/data"])
    async with AsyncClient(daemon.address) as other:
        again = await other.upload(f"{folder}/model.py", include=[f"{folder}/data"])

    assert again == source
    assert source.entry_path == "model.py"
    assert _sent(daemon, source.digest) == {"model.py", "helper.py", "data/words.txt"}


async def test_each_call_of_the_library_takes_any_way_to_a_file(
    daemon: FakeDaemon, project: Path
) -> None:
    way = "../my project/data/../model.py"
    with Client(daemon.address) as client:
        client.recommend(way)
        client.create_recommendation(way)
        client.estimate_memory(way)
    async with AsyncClient(daemon.address) as other:
        await other.recommend(way)
        await other.create_recommendation(way)
        await other.estimate_memory(way)

    checked = [r.digest for r in daemon.requests if isinstance(r, CheckSourceRequest)]
    assert len(checked) == 6
    assert set(checked) == set(daemon.sources)


def test_a_linked_model_file_imports_what_lies_beside_the_link(
    run: Run, daemon: FakeDaemon, project: Path
) -> None:
    Path("variant.py").symlink_to("../my project/model.py")
    Path("helper.py").write_text("of_the_link = True\n")

    result = run("recommend", "../here/variant.py")

    assert result.exit_code == 0, result.output
    (content,) = daemon.sources.values()
    sent = {file.path: file.content for file in SourceBundle.FromString(content).files}
    assert sent == {"variant.py": b"import helper\n", "helper.py": b"of_the_link = True\n"}


def test_a_linked_data_set_keeps_its_place(run: Run, daemon: FakeDaemon, project: Path) -> None:
    (project / "corpus").symlink_to(project / "data", target_is_directory=True)

    result = run("recommend", "../my project/model.py", "--include", "../my project/corpus")

    assert result.exit_code == 0, result.output
    (digest,) = daemon.sources
    assert _sent(daemon, digest) == {"model.py", "helper.py", "corpus/words.txt"}


def test_what_lies_outside_is_still_refused(run: Run, project: Path) -> None:
    Path("stray.txt").touch()
    result = run("recommend", "../my project/model.py", "--include", "../my project/../here")
    assert result.exit_code == 2
    assert "lies outside" in result.stderr


def test_tokens_and_certificates_are_found_any_way(run: Run, project: Path, folder: str) -> None:
    (project / "token").write_text("secret\n")
    (project / "ca.pem").write_text("no certificate")
    path = f"{folder}/token"

    assert Credentials.from_environment({"BSADVISE_TOKEN_FILE": path}).token == "secret"
    files = ("--token-file", path, "--ca-file", f"{folder}/ca.pem")
    assert run("devices", *files).exit_code == 0
    with pytest.raises(AddressUnusable, match=r"missing\.pem"):
        Client("192.0.2.1:1", credentials=Credentials(ca_file=project / "missing.pem")).devices()

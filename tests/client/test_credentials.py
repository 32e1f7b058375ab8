"""A token goes to nobody but the daemon, and never in plain text over a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bsadvise import AccessDenied, Client, Credentials, QuotaExceeded, Scope
from bsadvise.cli.main import cli
from bsadvise.model.errors import AddressUnusable, NotAuthenticated
from bsadvise.transport.credentials import target_of
from bsadvise.v1 import recommendation_pb2, token_service_pb2
from click.testing import CliRunner, Result
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.support.fake_server import FakeDaemon

Run = Callable[..., Result]
SHOWN = (("authorization", "Bearer secret"),)
WITH_TOKEN = Credentials(token="secret")


@pytest.fixture
def remote() -> Any:
    """A daemon on loopback: what a client over TCP meets, but for TLS."""
    with FakeDaemon() as fake:
        yield fake


@pytest.fixture
def run(remote: FakeDaemon) -> Run:
    def invoke(*arguments: Any, **variables: str) -> Result:
        variables = {"BSADVISE_ADDRESS": remote.address, **variables}
        return CliRunner().invoke(cli, [str(a) for a in arguments], env=variables)

    return invoke


@pytest.mark.parametrize(
    ("address", "is_tls"),
    [
        ("127.0.0.1:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("http://127.0.0.1:1", False),
        ("https://127.0.0.1:1", True),
        ("192.0.2.1:1", True),
        ("advisor.example.org:1", True),
        ("https://advisor.example.org:1/", True),
    ],
)
def test_beyond_this_machine_all_is_tls(address: str, is_tls: bool) -> None:
    target = target_of(address, WITH_TOKEN)
    assert (target.tls is not None) is is_tls
    assert target.metadata == SHOWN
    assert target.address == address.partition("//")[2].rstrip("/") or address


def test_plain_text_beyond_this_machine_is_refused() -> None:
    with pytest.raises(AddressUnusable, match="without TLS"):
        target_of("http://192.0.2.1:1", WITH_TOKEN)


@pytest.mark.parametrize("address", ["/run/d.sock", "unix:/run/d.sock"])
def test_a_socket_is_shown_no_token(address: str) -> None:
    target = target_of(address, WITH_TOKEN)
    assert (target.address, target.tls, target.metadata) == ("unix:/run/d.sock", None, ())


def test_certificates_make_loopback_secure(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("any")
    assert target_of("127.0.0.1:1", Credentials(ca_file=tmp_path / "ca.pem")).tls is not None


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(AddressUnusable, match=r"ca\.pem cannot be read"):
        target_of("192.0.2.1:1", Credentials(ca_file=tmp_path / "ca.pem"))
    with pytest.raises(AddressUnusable, match="go together"):
        target_of("192.0.2.1:1", Credentials(cert_file=tmp_path / "cert.pem"))


def test_the_environment_names_credentials(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    found = Credentials.from_environment(
        {"BSADVISE_TOKEN_FILE": str(tmp_path / "token"), "BSADVISE_CA_FILE": "/ca.pem"}
    )
    assert found == Credentials(token="secret", ca_file=Path("/ca.pem"))
    assert Credentials.from_environment({}) == Credentials()


def test_a_token_is_not_part_of_any_text() -> None:
    assert "secret" not in repr(WITH_TOKEN)
    assert "secret" not in repr(target_of("127.0.0.1:1", WITH_TOKEN))


def test_every_call_shows_the_token(remote: FakeDaemon, model_file: Path) -> None:
    with Client(remote.address, credentials=WITH_TOKEN) as client:
        client.recommend(model_file)
    assert {shown["authorization"] for shown in remote.metadata} == {"Bearer secret"}
    assert len(remote.metadata) >= 5


def test_the_command_line_takes_it_from_a_file(
    run: Run, remote: FakeDaemon, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert run("devices", "--token-file", tmp_path / "token", BSADVISE_TOKEN="other").exit_code == 0
    assert run("devices", BSADVISE_TOKEN="from-variable").exit_code == 0
    shown = [metadata["authorization"] for metadata in remote.metadata]
    assert shown == ["Bearer from-file", "Bearer from-variable"]


def test_doctor_does_not_tell_the_token(run: Run) -> None:
    result = run("doctor", BSADVISE_TOKEN="very-secret")
    assert "very-secret" not in result.stdout + result.stderr


def test_tokens_are_made_listed_and_revoked(run: Run, remote: FakeDaemon) -> None:
    made = run("token", "create", "alice", "--scope", "read", "--days", "7")
    assert (made.exit_code, made.stdout) == (0, "bsa_secret\n")
    assert "alice" in made.stderr
    (request,) = remote.requests
    assert isinstance(request, token_service_pb2.CreateTokenRequest)
    assert (request.scope, request.life_s) == (token_service_pb2.SCOPE_READ, 7 * 86_400)

    listed = json.loads(run("token", "list", "--output", "json").stdout)["tokens"]
    assert [(one["principal"], one["scope"]) for one in listed] == [("alice", "read")]
    assert "alice" in run("token", "list").stdout

    revoked = run("token", "revoke", listed[0]["token_id"])
    assert revoked.exit_code == 0
    assert "revoked" in run("token", "list").stdout


def _status(code: int, reason: str) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message="In plain words.")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="bsadvise"))
    return status


@pytest.mark.parametrize(
    ("code", "reason", "error_class", "exit_code"),
    [
        (code_pb2.UNAUTHENTICATED, "UNAUTHENTICATED", NotAuthenticated, 7),
        (code_pb2.PERMISSION_DENIED, "PERMISSION_DENIED", AccessDenied, 7),
        (code_pb2.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", QuotaExceeded, 8),
    ],
)
def test_refusals_are_named(
    run: Run, remote: FakeDaemon, code: int, reason: str, error_class: type, exit_code: int
) -> None:
    remote.failures["ListTokensRequest"] = [_status(code, reason), _status(code, reason)]
    with Client(remote.address) as client, pytest.raises(error_class, match="In plain words"):
        client.list_tokens()
    result = run("token", "list")
    assert (result.exit_code, result.stderr) == (exit_code, "bsadvise: In plain words.\n")


def test_those_who_wait_are_told_where_they_stand(
    run: Run, remote: FakeDaemon, model_file: Path
) -> None:
    remote.waiting = [
        recommendation_pb2.Waiting(position=position, expected_start_at_s=2e9)
        for position in (3, 3, 1)
    ]
    result = run("recommend", model_file, "--priority", "low")
    told = [line for line in result.stderr.splitlines() if "waiting for the device" in line]
    assert [line.partition("number ")[2][0] for line in told] == ["3", "1"]
    (job,) = remote.jobs.values()
    assert job.recommendation.request.priority == recommendation_pb2.PRIORITY_LOW


def test_a_watcher_of_the_library_may_be_told_too(remote: FakeDaemon) -> None:
    remote.waiting = [recommendation_pb2.Waiting(position=2, expected_start_at_s=5.0)]
    (job_id,) = remote.seed(remote.script)
    places: list[Any] = []
    with Client(remote.address) as client:
        quiet = list(client.watch(job_id))
        told = list(client.watch(job_id, on_waiting=places.append))
    assert quiet == told
    assert [place.position for place in places] == [2]


def test_scopes_are_those_of_the_wire() -> None:
    wire = {value.name for value in token_service_pb2.Scope.DESCRIPTOR.values if value.number}
    assert wire == {f"SCOPE_{scope.name}" for scope in Scope}

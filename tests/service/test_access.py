"""Every method is guarded, and nobody sees what is another's."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from bsadvise.model.token import Scope
from bsadvise.v1 import device_service_pb2, memory_service_pb2, source_service_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1 import token_service_pb2 as tokens_pb

from advisor.application.sharing import SharingPolicy
from advisor.service.access import SCOPES
from advisor.service.server import ListenConfig
from tests.support.bench import Bench
from tests.support.house import CALLS, CREATE, House, drain, refusal
from tests.support.server import serving_at


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "state")


@pytest.fixture
async def house(bench: Bench) -> AsyncIterator[House]:
    async with serving_at(bench, ListenConfig(listen="127.0.0.1:0")) as (application, bound):
        yield House(bench, application, bound)


_NAMES_ONE = (
    "GetRecommendation", "CancelRecommendation", "DeleteRecommendation", "WatchRecommendation",
    "ListMeasurements", "ExplainRecommendation",
)  # fmt: skip


def test_the_table_has_every_method_of_the_contract_and_no_other() -> None:
    modules = (pb, source_service_pb2, memory_service_pb2, device_service_pb2, tokens_pb)
    methods = {
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    ours = {method for method in SCOPES if method.startswith("/bsadvise.")}
    assert ours == methods
    assert {f"/bsadvise.v1.{name}" for name in CALLS} == methods
    assert all(SCOPES[method] is not None for method in ours)


@pytest.mark.parametrize("name", CALLS)
async def test_without_a_token_nothing_is_allowed(house: House, name: str) -> None:
    async with house.client(None) as client:
        refused = await refusal(CALLS[name](client, "x"))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert refused.info.reason == "UNAUTHENTICATED"
    assert "bsadvise token create" in refused.sentence


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("scope", [Scope.READ, Scope.RUN])
async def test_a_scope_allows_no_more_than_the_table_says(
    house: House, name: str, scope: Scope
) -> None:
    needed = SCOPES[f"/bsadvise.v1.{name}"]
    async with house.caller("alice", scope) as client:
        try:
            await CALLS[name](client, "x")
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
    is_allowed = needed is Scope.READ or (needed is Scope.RUN and scope is Scope.RUN)
    assert (code is not grpc.StatusCode.PERMISSION_DENIED) is is_allowed
    assert code is not grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("name", _NAMES_ONE)
async def test_what_is_another_s_is_not_there(house: House, name: str) -> None:
    call = CALLS[f"RecommendationService/{name}"]
    async with house.caller("alice") as alice, house.caller("bob") as bob:
        await alice.upload()
        created = (await alice.recommendations.CreateRecommendation(CREATE)).recommendation
        theirs = await refusal(call(bob, created.recommendation_id))
        nobodys = await refusal(call(bob, "f" * 32))
        listed = await bob.recommendations.ListRecommendations(pb.ListRecommendationsRequest())
        found = await CALLS["RecommendationService/GetRecommendation"](
            alice, created.recommendation_id
        )
    assert theirs.code is nobodys.code is grpc.StatusCode.NOT_FOUND
    assert theirs.sentence.replace(created.recommendation_id, "f" * 32) == nobodys.sentence
    assert not listed.recommendations
    assert found.recommendation.principal == "alice"
    assert not found.recommendation.cancel_requested


async def test_a_source_is_there_for_those_who_sent_it(house: House) -> None:
    async with house.caller("alice") as alice, house.caller("bob") as bob:
        digest = await alice.upload()
        check = source_service_pb2.CheckSourceRequest(digest=digest)
        assert (await alice.sources.CheckSource(check)).exists
        assert not (await bob.sources.CheckSource(check)).exists
        for name in ("RecommendationService/CreateRecommendation", "MemoryService/EstimateMemory"):
            assert (await refusal(CALLS[name](bob, ""))).code is grpc.StatusCode.NOT_FOUND
        await bob.upload()
        assert (await bob.sources.CheckSource(check)).exists


async def test_two_principals_may_choose_one_request_id(house: House) -> None:
    created = []
    for principal in ("alice", "bob"):
        async with house.caller(principal) as client:
            await client.upload()
            created.append(await client.recommendations.CreateRecommendation(CREATE))
    first, second = (response.recommendation for response in created)
    assert first.recommendation_id != second.recommendation_id
    assert first.fingerprint != second.fingerprint  # nor is an answer of one given to the other


async def test_an_answer_is_shared_where_the_policy_says_so(bench: Bench) -> None:
    bench.policy = SharingPolicy(cache_is_shared=True)
    async with serving_at(bench, ListenConfig(listen="127.0.0.1:0")) as (application, bound):
        house = House(bench, application, bound)
        answers = []
        for principal in ("alice", "bob"):
            async with house.caller(principal) as client:
                await client.upload()
                created = await client.recommendations.CreateRecommendation(CREATE)
                recommendation_id = created.recommendation.recommendation_id
                await CALLS["RecommendationService/WatchRecommendation"](client, recommendation_id)
                answers.append(created.recommendation.advice.search.cache_hit)
    assert answers == [False, True]


async def test_who_administers_sees_all(house: House) -> None:
    async with house.caller("alice") as alice, house.caller("root", Scope.ADMIN) as root:
        await alice.upload()
        created = (await alice.recommendations.CreateRecommendation(CREATE)).recommendation
        listed = await root.recommendations.ListRecommendations(pb.ListRecommendationsRequest())
    assert [one.recommendation_id for one in listed.recommendations] == [created.recommendation_id]


@pytest.mark.parametrize(
    "authorization",
    [
        "", "Bearer", "Bearer ", "Basic YTpi", "Bearer bsa_0_0", "Bearer " + "x" * 4000,
        "Bearer bsa_0123456789abcdef_" + "A" * 43,
    ],
)  # fmt: skip
async def test_what_is_no_token_opens_nothing(house: House, authorization: str) -> None:
    async with house.client(authorization) as client:
        refused = await refusal(CALLS["DeviceService/ListDevices"](client, ""))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED


async def test_half_a_token_opens_nothing(house: House) -> None:
    token, text = await house.application.tokens.create("alice", Scope.ADMIN)
    forged = f"bsa_{token.token_id}_{'A' * 43}"
    for shown in (forged, text[:-1], text + "A", text.swapcase()):
        async with house.client(f"Bearer {shown}") as client:
            refused = await refusal(CALLS["DeviceService/ListDevices"](client, ""))
        assert refused.code is grpc.StatusCode.UNAUTHENTICATED
        assert "is not one" in refused.sentence


async def test_a_token_opens_until_it_expires(house: House, bench: Bench) -> None:
    _, text = await house.application.tokens.create("alice", Scope.READ, 60.0)
    async with house.client(f"Bearer {text}") as client:
        bench.clock.advance(59)
        assert await CALLS["DeviceService/ListDevices"](client, "")
        bench.clock.advance(1)
        refused = await refusal(CALLS["DeviceService/ListDevices"](client, ""))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert "expired" in refused.sentence


async def test_a_token_opens_until_it_is_revoked(house: House) -> None:
    token, text = await house.application.tokens.create("alice", Scope.READ)
    async with house.caller("root", Scope.ADMIN) as root, house.client(f"bearer {text}") as client:
        assert await CALLS["DeviceService/ListDevices"](client, "")
        revoked = await CALLS["TokenService/RevokeToken"](root, token.token_id)
        refused = await refusal(CALLS["DeviceService/ListDevices"](client, ""))
    assert revoked.token.revoked_at_s
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert "revoked" in refused.sentence


async def test_tokens_are_made_and_listed_without_their_secrets(house: House) -> None:
    request = tokens_pb.CreateTokenRequest(principal="alice", scope=tokens_pb.SCOPE_RUN)
    async with house.caller("root", Scope.ADMIN) as root:
        made = await root.tokens.CreateToken(request)
        listed = await root.tokens.ListTokens(tokens_pb.ListTokensRequest())
    assert made.token in listed.tokens
    secret = made.text.split("_", 2)[2]
    assert secret not in str(listed)
    kept = await house.application.tokens.list_all()
    assert all(made.text not in str(token) and secret not in str(token) for token in kept)


async def test_an_id_with_a_nul_is_an_invalid_argument(house: House) -> None:
    async with house.caller("root", Scope.ADMIN) as root:
        refused = await refusal(CALLS["TokenService/RevokeToken"](root, "a\x00b"))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.violations.keys() == {"token_id"}


async def test_every_wrong_field_of_a_token_is_named(house: House) -> None:
    request = tokens_pb.CreateTokenRequest(principal="a b", scope=tokens_pb.SCOPE_RUN, life_s=-1.0)
    async with house.caller("root", Scope.ADMIN) as root:
        assert (await refusal(root.tokens.CreateToken(request))).violations.keys() == {
            "principal",
            "life_s",
        }
        request.scope = tokens_pb.SCOPE_UNSPECIFIED
        assert (await refusal(root.tokens.CreateToken(request))).violations.keys() >= {"scope"}


async def test_no_secret_is_logged(
    house: House, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token, text = await house.application.tokens.create("alice", Scope.RUN)
    secret = text.split("_", 2)[2]
    async with house.client(f"Bearer {text}") as client:
        await client.upload()
        created = await CALLS["RecommendationService/CreateRecommendation"](client, "")
        recommendation_id = created.recommendation.recommendation_id
        events = await CALLS["RecommendationService/WatchRecommendation"](client, recommendation_id)
        await refusal(CALLS["TokenService/ListTokens"](client, ""))
        await house.application.tokens.revoke(token.token_id)
        await refusal(CALLS["DeviceService/ListDevices"](client, ""))
    assert events
    assert secret not in str(events)
    logged = caplog.text + "".join(capfd.readouterr())
    assert "PERMISSION_DENIED" in logged
    assert secret not in logged
    assert token.digest not in logged


async def test_reflection_is_off_unless_asked_for(house: House) -> None:
    call = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    async with house.caller("root", Scope.ADMIN) as root:
        reflect: Any = root.channel.stream_stream(call)
        refused = await refusal(drain(reflect(iter((b"",)))))
    assert refused.code is grpc.StatusCode.UNIMPLEMENTED


async def test_health_is_told_to_all(house: House) -> None:
    async with house.client(None) as client:
        check: Any = client.channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await check(b"") == b"\x08\x01"

"""Who may call what: one table, and the guard before every method.

A caller is known by how it comes: through the daemon's own unix socket, which the system opens
to the daemon's user alone; with a token; or with a certificate that the operator's authority has
signed. ``docs/security.md`` says what each of them keeps out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import grpc
from bsadvise.model.token import Scope

from advisor.application.tokens import Tokens
from advisor.domain.access import LOCAL_CALLER, Caller, is_principal
from advisor.domain.errors import PermissionDenied, Unauthenticated
from advisor.service.admission import Admission
from advisor.service.context import Context
from advisor.service.interception import Handler, wrap

_V1 = "/bsadvise.v1."

SCOPES: dict[str, Scope | None] = {
    f"{_V1}RecommendationService/CreateRecommendation": Scope.RUN,
    f"{_V1}RecommendationService/GetRecommendation": Scope.READ,
    f"{_V1}RecommendationService/ListRecommendations": Scope.READ,
    f"{_V1}RecommendationService/CancelRecommendation": Scope.RUN,
    f"{_V1}RecommendationService/DeleteRecommendation": Scope.RUN,
    f"{_V1}RecommendationService/WatchRecommendation": Scope.READ,
    f"{_V1}RecommendationService/ListMeasurements": Scope.READ,
    f"{_V1}SourceService/CheckSource": Scope.RUN,
    f"{_V1}SourceService/UploadSource": Scope.RUN,
    f"{_V1}MemoryService/EstimateMemory": Scope.RUN,
    f"{_V1}DeviceService/ListDevices": Scope.READ,
    f"{_V1}TokenService/CreateToken": Scope.ADMIN,
    f"{_V1}TokenService/ListTokens": Scope.ADMIN,
    f"{_V1}TokenService/RevokeToken": Scope.ADMIN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Scope.READ,
    # Load balancers ask with nothing to show; all that they learn is that a daemon is here.
    "/grpc.health.v1.Health/Check": None,
    "/grpc.health.v1.Health/Watch": None,
}
"""What each method takes; None for nothing at all. One that is not here is refused to all."""

_BEARER = "bearer "
_CERTIFICATE_PREFIX = "cert:"

_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Return who has called the method that runs."""
    return _caller.get()


class Guard(grpc.aio.ServerInterceptor):
    """Lets through who may call a method, and tells the method who that is."""

    def __init__(
        self, tokens: Tokens, admission: Admission, *, trust_loopback: bool = False
    ) -> None:
        """Make a guard.

        Args:
            tokens: What knows tokens.
            admission: What bounds the calls under way.
            trust_loopback: Whether whoever comes in plain text, which only loopback may, is the
                daemon's own user.
        """
        self._tokens = tokens
        self._admission = admission
        self._trust_loopback = trust_loopback

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the handler of a method, guarded."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if method in SCOPES and SCOPES[method] is None:
            return wrap(handler, lambda context: self._counted(context, method))
        return wrap(handler, lambda context: self._guarded(context, method))

    @asynccontextmanager
    async def _counted(self, context: Context, method: str) -> AsyncIterator[None]:
        with self._admission.health(context, method):
            yield

    @asynccontextmanager
    async def _guarded(self, context: Context, method: str) -> AsyncIterator[None]:
        scope = SCOPES.get(method)
        with self._admission.unknown():
            caller = await self._authenticate(context)
        if scope is None or not caller.may(scope):
            needed = f"the scope {scope}" if scope else "what nobody has"
            raise PermissionDenied(
                f"{caller.principal} has the scope {caller.scope}; this takes {needed}"
            )
        _caller.set(caller)
        with self._admission.known(caller, method):
            yield

    async def _authenticate(self, context: Context) -> Caller:
        shown = dict(context.invocation_metadata() or ()).get("authorization")
        if shown is not None:
            if not isinstance(shown, str) or shown[: len(_BEARER)].lower() != _BEARER:
                raise Unauthenticated("the authorization must be: Bearer TOKEN")
            return await self._tokens.authenticate(shown[len(_BEARER) :].strip())
        if identities := context.peer_identities():
            return _certified(identities)
        is_plain = context.auth_context().get("transport_security_type") == [b"insecure"]
        is_own_socket = is_plain and context.peer().startswith("unix:")
        if is_own_socket or (is_plain and self._trust_loopback):
            return LOCAL_CALLER
        raise Unauthenticated(
            "a token is needed; whoever runs the daemon makes one with: bsadvise token create"
        )


def _certified(identities: list[bytes]) -> Caller:
    # The first name is that of the certificate's subject, or its first alternative name.
    principal = _CERTIFICATE_PREFIX + identities[0].decode(errors="replace")
    if not is_principal(principal):
        raise Unauthenticated("the certificate's name cannot be a principal's")
    return Caller(principal=principal, scope=Scope.RUN)

"""Who may call what: one table, and the guard before every method.

A caller is known by what it shows: the secret of the daemon's own unix socket, which its user alone
can read; a token; or a certificate that the operator's authority has signed. ``docs/security.md``
says what each of them keeps out.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path

import grpc
from bsadvise.model.token import Scope

from advisor.application.tokens import Tokens
from advisor.domain.access import LOCAL_CALLER, Caller
from advisor.domain.errors import PermissionDenied, Unauthenticated
from advisor.service.admission import Admission
from advisor.service.certificates import RevokedCertificates, caller_of
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
    f"{_V1}RecommendationService/ExplainRecommendation": Scope.READ,
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

_BEARER = "bearer"
_SOCKET = "socket"

_caller: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Return who has called the method that runs."""
    return _caller.get()


class Guard(grpc.aio.ServerInterceptor):
    """Lets through who may call a method, and tells the method who that is."""

    def __init__(
        self,
        tokens: Tokens,
        admission: Admission,
        *,
        socket_secret: str | None = None,
        revoked: Path | None = None,
        trust_loopback: bool = False,
    ) -> None:
        """Make a guard.

        Args:
            tokens: What knows tokens.
            admission: What bounds the calls under way.
            socket_secret: What the daemon's own user shows through the unix socket; None where
                there is none.
            revoked: The list of revoked certificates; None for none.
            trust_loopback: Whether whoever comes in plain text, which only loopback may, is the
                daemon's own user.
        """
        self._tokens = tokens
        self._admission = admission
        self._socket_secret = socket_secret
        self._revoked = RevokedCertificates(revoked)
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
        is_plain = context.auth_context().get("transport_security_type") == [b"insecure"]
        is_local = is_plain and context.peer().startswith("unix:")
        shown = dict(context.invocation_metadata() or ()).get("authorization")
        if shown is not None:
            scheme, _, rest = shown.partition(" ") if isinstance(shown, str) else ("", "", "")
            if scheme.lower() == _SOCKET and is_local:
                return self._owner(rest.strip())
            if scheme.lower() != _BEARER:
                raise Unauthenticated("the authorization must be: Bearer TOKEN")
            return await self._tokens.authenticate(rest.strip())
        if "x509_pem_cert" in context.auth_context():
            return caller_of(context.auth_context(), self._revoked)
        if is_local:
            raise Unauthenticated(
                "a caller through the daemon's socket shows the secret that lies beside it; "
                "clients of release 0.1.0 cannot: install the daemon's release, or use a token"
            )
        if is_plain and self._trust_loopback:
            return LOCAL_CALLER
        raise Unauthenticated(
            "a token is needed; whoever runs the daemon makes one with: bsadvise token create"
        )

    def _owner(self, shown: str) -> Caller:
        secret = self._socket_secret
        if secret is None or not hmac.compare_digest(shown.encode(), secret.encode()):
            raise Unauthenticated("the secret is not that of this daemon's socket")
        return LOCAL_CALLER

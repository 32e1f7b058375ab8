"""TokenService over the use cases."""

from __future__ import annotations

from bsadvise.v1 import token_service_pb2 as pb
from bsadvise.v1.token_service_pb2_grpc import TokenServiceServicer

from advisor.application.tokens import Tokens
from advisor.service.context import Context
from advisor.service.converters import scope, token_message


class TokenServicer(TokenServiceServicer):
    """Makes, lists and revokes tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def CreateToken(
        self, request: pb.CreateTokenRequest, context: Context
    ) -> pb.CreateTokenResponse:
        """Make a token."""
        life_s = request.life_s if request.HasField("life_s") else None
        token, text = await self._tokens.create(request.principal, scope(request.scope), life_s)
        return pb.CreateTokenResponse(token=token_message(token), text=text)

    async def ListTokens(
        self, request: pb.ListTokensRequest, context: Context
    ) -> pb.ListTokensResponse:
        """Return all tokens."""
        tokens = await self._tokens.list_all()
        return pb.ListTokensResponse(tokens=[token_message(token) for token in tokens])

    async def RevokeToken(
        self, request: pb.RevokeTokenRequest, context: Context
    ) -> pb.RevokeTokenResponse:
        """Revoke a token."""
        token = await self._tokens.revoke(request.token_id)
        return pb.RevokeTokenResponse(token=token_message(token))

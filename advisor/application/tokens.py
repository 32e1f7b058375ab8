"""Tokens: made, shown once, known again, revoked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

from bsadvise.model.token import Scope

from advisor.domain.access import Caller, Token, is_principal
from advisor.domain.errors import FieldViolation, InvalidRequest, Unauthenticated
from advisor.ports.clock import Clock
from advisor.ports.token_store import TokenStore

DEFAULT_LIFE_S = 90 * 86_400.0
LONGEST_LIFE_S = 366 * 86_400.0

_PREFIX = "bsa"
"""Lets scanners for leaked secrets know what they have found."""

_TOKEN = re.compile(rf"{_PREFIX}_([0-9a-f]{{16}})_[A-Za-z0-9_-]{{43}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What can be done with tokens.

    Attributes:
        store: Where they are kept.
        clock: The time.
    """

    store: TokenStore
    clock: Clock

    async def create(
        self, principal: str, scope: Scope, life_s: float | None = None
    ) -> tuple[Token, str]:
        """Make a token, and return it with its secret text, which is not kept.

        Args:
            principal: Whose requests it authenticates.
            scope: What they may do.
            life_s: Seconds until it expires; None for 90 days.

        Raises:
            InvalidRequest: A field is wrong; it names all that are.
        """
        life_s = DEFAULT_LIFE_S if life_s is None else life_s
        _check(principal, life_s)
        token_id = secrets.token_hex(8)
        text = f"{_PREFIX}_{token_id}_{secrets.token_urlsafe(32)}"
        now_s = self.clock.now_s()
        token = Token(
            token_id=token_id,
            digest=_digest(text),
            principal=principal,
            scope=scope,
            created_at_s=now_s,
            expires_at_s=now_s + life_s,
        )
        await self.store.add_token(token)
        return token, text

    async def list_all(self) -> tuple[Token, ...]:
        """Return all tokens, newest first."""
        return await self.store.list_tokens()

    async def revoke(self, token_id: str) -> Token:
        """Let a token open nothing from now on. Raises NotFound, InvalidRequest."""
        if "\x00" in token_id:  # PostgreSQL's text cannot hold it
            raise InvalidRequest(FieldViolation("token_id", "must not hold the character NUL"))
        return await self.store.revoke_token(token_id)

    async def authenticate(self, text: str) -> Caller:
        """Return the identity that a token authenticates.

        Raises:
            Unauthenticated: It is not one of ours, has expired or was revoked.
        """
        match = _TOKEN.fullmatch(text)
        token = await self.store.find_token(match[1]) if match else None
        # Only who has the whole token learns that it was one.
        if token is None or not hmac.compare_digest(token.digest, _digest(text)):
            raise Unauthenticated("this token is not one of this daemon's; ask for another")
        if token.revoked_at_s is not None:
            raise Unauthenticated("this token was revoked; ask for another")
        if token.expires_at_s <= self.clock.now_s():
            raise Unauthenticated("this token has expired; ask for another")
        return Caller(principal=token.principal, scope=token.scope)


def _digest(text: str) -> str:
    # No salt and no slow hash: the secret is 256 random bits, which nobody guesses.
    return hashlib.sha256(text.encode()).hexdigest()


def _check(principal: str, life_s: float) -> None:
    violations = []
    if not is_principal(principal):
        violations.append(
            FieldViolation(
                "principal", "must be 1 to 128 letters, digits, '.', '_', '@', ':', '/', '+', '-'"
            )
        )
    if not 0 < life_s <= LONGEST_LIFE_S:
        violations.append(
            FieldViolation("life_s", f"must be more than 0 and at most {LONGEST_LIFE_S:.0f}")
        )
    if violations:
        raise InvalidRequest(*violations)

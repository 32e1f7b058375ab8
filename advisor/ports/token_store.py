"""Where the tokens by which callers are known are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod

from advisor.domain.access import Token


class TokenStore(ABC):
    """Keeps tokens without their secrets. Safe for concurrent use by tasks of one event loop.

    Any method raises StoreUnavailable when the database cannot be read or written.
    """

    @abstractmethod
    async def add_token(self, token: Token) -> None:
        """Keep a token; its id is new."""

    @abstractmethod
    async def find_token(self, token_id: str) -> Token | None:
        """Return a token, expired and revoked ones too; None when there is none."""

    @abstractmethod
    async def list_tokens(self) -> tuple[Token, ...]:
        """Return all tokens, newest first."""

    @abstractmethod
    async def revoke_token(self, token_id: str) -> Token:
        """Let a token open nothing from now on, and return it; twice is once.

        Raises:
            NotFound: There is none.
        """

"""Runs a PostgreSQL for the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import MakeDatabase, postgres_server


@pytest.fixture(scope="session")
def make_postgres_database() -> Iterator[MakeDatabase]:
    """Make empty databases on one server."""
    with postgres_server() as server:
        yield server.make_database

"""Makes failures of the shared suite as telling as those of a test file; runs a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres import MakeDatabase, postgres_server

for part in ("", "_base", "_events", "_leases", "_resources", "_retention", "_sharing"):
    pytest.register_assert_rewrite(f"tests.support.store_contract{part}")


@pytest.fixture(scope="session")
def make_postgres_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeDatabase]:
    """Make empty databases on one server."""
    with postgres_server(tmp_path_factory.mktemp("pg")) as make_database:
        yield make_database

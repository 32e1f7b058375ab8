"""Makes failures of the shared suite as telling as those of a test file."""

import pytest

for part in ("", "_base", "_events", "_leases", "_resources"):
    pytest.register_assert_rewrite(f"tests.support.store_contract{part}")

"""Makes failures of the shared suite as telling as those of a test file."""

import pytest

pytest.register_assert_rewrite("tests.support.store_contract")

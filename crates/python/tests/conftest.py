"""Fixtures of the tests."""

import pytest
from shared import golden_vectors


@pytest.fixture(scope="session")
def golden():
    """The vectors of the public reference."""
    return golden_vectors()

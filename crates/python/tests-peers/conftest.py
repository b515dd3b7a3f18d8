"""Fixtures of the tests beside other engines."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


@pytest.fixture(scope="session")
def golden():
    """The vectors of the public reference."""
    from shared import golden_vectors

    return golden_vectors()

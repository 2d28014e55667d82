"""What a test sets up for its whole process must not reach the next one."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Undo a logger that writes to what a test has captured, which is closed afterwards."""
    yield
    structlog.reset_defaults()

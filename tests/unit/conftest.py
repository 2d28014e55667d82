"""What a test sets up for its whole process must not reach the next one."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# How long a machine takes to make an example says nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Undo a logger that writes to what a test has captured, which is closed afterwards."""
    yield
    structlog.reset_defaults()

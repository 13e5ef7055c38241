import pytest
from parts.waiting import no_waiting


@pytest.fixture(autouse=True)
def _no_waiting():
    """No unit test waits for real time to pass."""
    with no_waiting():
        yield

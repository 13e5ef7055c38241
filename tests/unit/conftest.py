import pytest
from hypothesis import settings
from parts.waiting import no_waiting

# How long an example takes on a busy machine says nothing of the code.
settings.register_profile("no-deadline", settings.default, deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(autouse=True)
def _no_waiting():
    """No unit test waits for real time to pass."""
    with no_waiting():
        yield

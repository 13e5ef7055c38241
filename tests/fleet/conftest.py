"""Every test here boots machines."""

import pytest
from fleet import workshop
from parts.need import need


@pytest.fixture(scope="session", autouse=True)
def _can_boot_machines():
    reason = workshop.missing()
    need(not reason, reason)

"""Fixtures of the gateway's tests."""

import pytest
from fakes.bus import state
from parts.gateway import LeasingWorld, World


@pytest.fixture
def world():
    return World()


@pytest.fixture
def two(world):
    """A world with a second camera, `back`, and what the audit log was told."""
    world.gateway.on_state("back", state(name="Back door"))
    world.notes = []
    world.gateway.note_watching = lambda client, device, act, detail: world.notes.append(
        (client.user, device, act, detail)
    )
    return world


@pytest.fixture
def leasing():
    return LeasingWorld()

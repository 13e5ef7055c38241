"""A device whose clock is an hour wrong serves all the same, and says so."""

import asyncio
import time

import pytest
from netlab.frames import forget, look, watch_frames, watch_peers
from netlab.internet import internet
from netlab.plan import Plan
from netlab.servers import start_service
from netlab.viewer import play, viewing
from netlab.wrong_clock import step

pytestmark = pytest.mark.usefixtures("has_parts")

HOUR_S = 3600
SETTLE_S, WATCH_S = 0.5, 3.0
PATIENCE_S = 1.5
"""A busy machine holds pictures up for less; a step that is felt, for an hour."""


@pytest.mark.parametrize("start_s", [0, HOUR_S, -HOUR_S], ids=["right", "ahead", "behind"])
async def test_an_hour_is_no_reason_not_to_serve(tmp_path, start_s):
    """From the start, and when the clock steps to and fro while somebody watches."""
    offset = tmp_path / "offset"
    step(offset, start_s)
    program = ("-m", "netlab.wrong_clock", str(offset), "run", "--config")
    with internet(Plan()) as lab:
        service = start_service(lab, ["udp"], program=program)
        async with viewing(lab, service) as page:
            await watch_peers(page)
            for step_s in (start_s, HOUR_S, -HOUR_S):
                playback = await play(page)
                assert playback.failed_attempts == ()
                await watch_frames(page)
                await asyncio.sleep(SETTLE_S)
                await forget(page)
                step(offset, step_s)
                await asyncio.sleep(WATCH_S)
                glance = await look(page, time.time())
                assert glance.phase == "playing"
                assert glance.frozen_s < PATIENCE_S, step_s

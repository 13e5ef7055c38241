import asyncio
from contextlib import nullcontext

from agent.config import WebrtcSettings
from agent.model.signal import Offer
from agent.rtc.sessions import Sessions

VIEWERS = 4


class Crowd(Sessions):
    """A camera whose viewers take long to be gone."""

    def __init__(self):
        self.rejected = []
        super().__init__(
            WebrtcSettings(max_viewers=VIEWERS),
            signal=self,
            viewing=lambda _: nullcontext(),
            describe=dict,
            command=lambda _: None,
            on_change=lambda: None,
        )
        self.over = asyncio.Event()

    def send_reject(self, session, code, _message, retry_after_s=None):
        self.rejected.append((session, code, retry_after_s))

    async def _negotiate_and_run(self, *_):
        await self.over.wait()

    def ask(self, session, user="ann"):
        self.on_offer(
            session,
            Offer(
                seq=0, nonce=session, issued_at=0, expires_at=30, boot_id="", user=user,
                permissions=("watch",), sdp="v=0", ice_servers=(),
            ),
        )  # fmt: skip


async def test_who_comes_and_goes_leaves_no_more_behind_than_the_camera_can_bear():
    crowd = Crowd()
    for number in range(100):
        crowd.ask(f"s{number}")
        crowd.on_bye(f"s{number}", "")
    assert len(crowd) == 2 * VIEWERS
    assert {(code, retry_after_s) for _, code, retry_after_s in crowd.rejected} == {
        ("too-many-viewers", 10.0)
    }
    crowd.over.set()
    await crowd.close()
    crowd.rejected.clear()
    crowd.ask("again")
    assert (len(crowd), crowd.rejected) == (1, [])
    await crowd.close()

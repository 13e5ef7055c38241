import asyncio
from contextlib import nullcontext
from dataclasses import replace

from agent.config import WebrtcSettings
from agent.model.signal import VIEWER_LEFT, Offer
from agent.rtc.sessions import Sessions

VIEWERS = 4


class Crowd(Sessions):
    """A camera whose viewers take long to be gone."""

    def __init__(self):
        self.rejected, self.orders, self.sticks, self.rights_lost = [], [], [], []
        super().__init__(
            WebrtcSettings(max_viewers=VIEWERS),
            signal=self,
            viewing=lambda _: nullcontext(),
            describe=dict,
            command=lambda order, _: self.orders.append(order),
            open_stick=lambda *asked: self.sticks.append(asked),
            on_change=lambda: None,
            on_right_lost=self.rights_lost.append,
        )
        self.over = asyncio.Event()

    def send_reject(self, session, code, _message, retry_after_s=None):
        self.rejected.append((session, code, retry_after_s))

    async def _negotiate_and_run(self, *_):
        await self.over.wait()

    def ask(self, session, user="ann", permissions=("watch",)):
        offer = Offer(
            seq=0, nonce=session, issued_at=0, expires_at=30, boot_id="", user=user,
            permissions=permissions, sdp="v=0", ice_servers=(),
        )  # fmt: skip
        self.on_offer(session, offer)
        return offer


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


async def test_a_viewer_may_do_what_its_newest_offer_says():
    crowd = Crowd()
    first = crowd.ask("s", permissions=("watch", "control"))
    viewer = crowd._viewers["s"]
    crowd._stick("s", viewer, print)
    [(session, user, may_control, _)] = crowd.sticks
    assert (session, user, may_control()) == ("s", "ann", True)
    viewer.newest = replace(first, permissions=("watch",))  # as a restart of ICE does
    crowd._order("s", viewer, "0f" * 16, "identify", {}, print)
    assert (may_control(), crowd.orders[0].permissions) == (False, ("watch",))
    crowd.over.set()
    await crowd.close()


async def test_whose_session_the_portal_ends_has_lost_a_right_and_who_left_has_not():
    crowd = Crowd()
    for reason in (VIEWER_LEFT, "the viewer may no longer come in", "nobody renewed the right to watch"):
        crowd.ask(reason)
        crowd.on_bye(reason, reason)
    assert crowd.rights_lost == ["the viewer may no longer come in", "nobody renewed the right to watch"]
    crowd.over.set()
    await crowd.close()

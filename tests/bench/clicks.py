"""How far a head turns beyond what was clicked, as its camera sees it."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from fakes.ptz_head import PelcoHead, ViscaCamera
from fakes.ptz_view import View

MAX_OVERSHOOT = 0.05
"""Of the picture's width."""
FOV_DEG = 60.0
LAG_S = 0.06
"""A head's mass: its speed follows with this time constant, and it coasts as long."""
PLACES = ((0.35, 0.12), (-0.4, 0.0), (0.2, -0.15), (-0.15, 0.03))
"""Where is clicked, in picture widths from its middle; after all of them the head is about where it was."""
PATIENCE_S = 30.0
STILL_S = 0.7
LOOKS_S = 1.5
"""From a picture that rests to the next click."""
_CALM_DEG = 0.02
_PICTURE = """async () => {
  const { pictureBox } = await import(document.querySelector('link[href$="/aim.js"]').href);
  return pictureBox(document.querySelector("video"));
}"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of head, and what the camera's settings say of it."""

    name: str
    make: Callable
    settings: str
    calibrates: bool = False
    """It tells nothing of where it points, and turns by time."""


KINDS = (
    Kind("two pulses calibrate it", lambda: PelcoHead(lag_s=LAG_S), 'protocol = "pelco-d"', calibrates=True),
    Kind(
        "Pelco-D that answers",
        lambda: PelcoHead(answers=True, travels=True, lag_s=LAG_S),
        'protocol = "pelco-d"',
    ),
    Kind("VISCA", lambda: ViscaCamera(travels=True, lag_s=LAG_S), 'protocol = "visca"\nzoom_max = 18'),
)


async def calibrate(page, head):
    """As somebody does who looks at the picture: whole percents of its width."""
    await page.get_by_role("button", name="Presets").click()
    menu = page.locator("#presets")
    await menu.get_by_text("Calibrate", exact=True).click()
    for way in ("Right", "Up"):
        for seconds in ("0.4", "1"):
            before = list(head.position)
            await menu.get_by_role("button", name=f"{way} {seconds} s", exact=True).click()
            await _moved(head, before, lambda _: None)
            seen = View(FOV_DEG).place(before, View(FOV_DEG).ray(head.position, 0, 0))
            moved = round(100 * max(map(abs, seen)))
            await menu.get_by_role("spinbutton", name=f"{way} {seconds} s").fill(str(moved))
            await menu.get_by_role("button", name=f"Keep {way} {seconds} s").click()
            await menu.get_by_text(f"{way} {seconds} s is kept").wait_for()
    await page.keyboard.press("Escape")
    head.position[:2] = [0.0, 0.0]  # level: one that looks up has to turn farther, and cannot know


async def by_clicks(page, head, clicks):
    """Overshoot and what was missed in the end, of each click, as shares of the picture's width."""
    point = page.get_by_role("button", name="Point in the picture")
    await point.wait_for()
    if await point.get_attribute("aria-pressed") != "true":
        await point.click()
    done = [await _click(page, head, *PLACES[number % len(PLACES)]) for number in range(clicks)]
    overshoots, missed = zip(*done, strict=True)
    return {"n": clicks, "overshoot": _summary(overshoots), "missed": _summary(missed)}


async def _click(page, head, x, y):
    picture = await page.evaluate(_PICTURE)
    middle = picture["left"] + picture["width"] / 2, picture["top"] + picture["height"] / 2
    view, far, beyond = View(FOV_DEG), math.hypot(x, y), 0.0
    before = list(head.position)
    ray = view.ray(before, x, y)

    def look(position):
        nonlocal beyond
        at = view.place(position, ray)
        beyond = max(beyond, -(at[0] * x + at[1] * y) / far)

    await page.mouse.click(middle[0] + x * picture["width"], middle[1] - y * picture["width"])
    await _moved(head, before, look)
    missed = math.hypot(*view.place(head.position, ray))
    await asyncio.sleep(LOOKS_S)
    return beyond, missed


async def _moved(head, before, look):
    """It turns, and rests again; `look` sees each of its positions."""
    ends_s, rested_s, last = time.monotonic() + PATIENCE_S, None, before
    while rested_s is None or time.monotonic() < rested_s + STILL_S:
        assert time.monotonic() < ends_s, "the head does not come to rest"
        position = list(head.position)
        look(position)
        if math.dist(position, last) > _CALM_DEG:
            last, rested_s = position, time.monotonic()
        await asyncio.sleep(0.002)


def _summary(shares):
    return {"p50": median(shares), "max": max(shares)}

"""Debian's Firefox through the dashboard: signed in, connected, decoding, and on the control channel."""

import asyncio

from parts.chromium import SCREENSHOTS
from parts.firefox import firefox
from parts.mosquitto import mosquitto
from parts.portal import PASSWORD, USER
from parts.stack import running_stack

TIMEOUT_S = 60
_SIGN_IN = """(...texts) => {
  const fields = [...document.querySelectorAll("input")].filter((one) => /^(text|password)$/.test(one.type));
  if (fields.length < 2) return false;
  fields.forEach((field, at) => {
    field.value = texts[at] ?? "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  fields[0].form.requestSubmit();
  return true;
}"""
_OPEN_CAMERA = """() => {
  const link = [...document.querySelectorAll("a")].find((one) => one.textContent.includes("Test camera"));
  link?.click();
  return Boolean(link);
}"""
_PLAYING = """() => document.querySelector('.stage[data-phase="playing"]') !== null"""
_SEEN = """() => {
  const { framesDecoded = 0, width, height, path, device, latencyMs } = window.pinhole?.stats?.() ?? {};
  return framesDecoded > 30 && device ? { framesDecoded, width, height, path, device, latencyMs } : null;
}"""


async def test_firefox_plays_through_the_dashboard():
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"') as stack:
        async with firefox() as page, asyncio.timeout(TIMEOUT_S):
            await page.goto(stack.url)
            await page.call("() => localStorage.setItem('pinhole-previews', 'off')")
            await page.until(_SIGN_IN, USER, PASSWORD)
            await page.until(_OPEN_CAMERA)
            await page.until(_PLAYING)
            seen = await page.until(_SEEN)
            await page.screenshot(SCREENSHOTS / "firefox-live.png")
        assert (seen["width"], seen["height"], seen["path"]) == (1280, 720, "host")
        assert seen["device"]["sent_frames"] > 0, "the control channel answers"

"""Recorded files as a browser plays them: whole, cut anywhere and mended, and piece by piece by MSE."""

import base64
import random

import pytest
from parts.chromium import chromium
from parts.recordings import RecordingsFolder, pictures

from agent.record.footage import Footage
from agent.record.repair import repair

PAGE = """<!doctype html><video id=v muted preload=auto></video><script>
const v = document.getElementById("v");
const ended = () => new Promise((done, failed) => {
  v.onended = () => done({ at: v.currentTime, frames: v.getVideoPlaybackQuality().totalVideoFrames,
    width: v.videoWidth, duration: v.duration });
  v.onerror = () => failed(new Error(v.error.message));
  v.playbackRate = 16;
  v.play().catch(failed);
});
window.playFile = (file) => { v.src = file; return ended(); };
window.seekFile = (file, at) => new Promise((done, failed) => {
  v.src = file;
  v.onerror = () => failed(new Error(v.error.message));
  v.onloadedmetadata = () => { v.onseeked = () => done(v.currentTime); v.currentTime = at; };
});
window.playPieces = async (pieces, type) => {
  const source = new MediaSource();
  v.src = URL.createObjectURL(source);
  await new Promise((done) => { source.onsourceopen = done; });
  const buffer = source.addSourceBuffer(type);
  for (const piece of pieces) {
    buffer.appendBuffer(Uint8Array.from(atob(piece), (char) => char.charCodeAt(0)));
    await new Promise((done, failed) => { buffer.onupdateend = done; buffer.onerror = failed; });
  }
  source.endOfStream();
  return [buffer.buffered.length, buffer.buffered.start(0), buffer.buffered.end(0), await ended()];
};
</script>"""


@pytest.fixture
def folder(tmp_path):
    made = RecordingsFolder(tmp_path / "recordings")
    made.record(pictures(9))
    (tmp_path / "page.html").write_text(PAGE)
    yield made
    made.index.close()


async def test_a_browser_plays_what_was_recorded(folder, tmp_path):
    whole, chance = folder.files()[0].read_bytes(), random.Random(4)
    copies = []
    for number in range(3):
        copy = tmp_path / f"{number}.mp4"
        copy.write_bytes(whole if not number else whole[: chance.randrange(60_000, len(whole))])
        walk = repair(copy).walk
        copies.append((copy, walk.fragments[-1].at_us + walk.fragments[-1].duration_us))
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"file://{tmp_path}/page.html")
        for copy, dur_us in copies:
            seen = await page.evaluate("file => playFile(file)", copy.name)
            assert seen["width"] == 64
            assert seen["frames"] > 0
            assert abs(seen["at"] - dur_us / 1e6) < 0.2, f"to its end, from its beginning: {seen}"
        at = await page.evaluate("file => seekFile(file, 7.3)", copies[0][0].name)
        assert abs(at - 7.3) < 0.2, "and lands where it is sent"


async def test_the_same_bytes_are_pieces_for_mse(folder, tmp_path):

    file = folder.files()[0]
    data = file.read_bytes()
    with Footage(file) as footage:
        walk = footage.walk()
    sps = walk.start.sets.sps
    codec = f'video/mp4; codecs="avc1.{sps[1:4].hex()}"'
    ends = [walk.start.size_bytes, *(one.end for one in walk.fragments)]
    pieces = [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"file://{tmp_path}/page.html")
        encoded = [base64.b64encode(piece).decode() for piece in pieces]
        count, start, end, seen = await page.evaluate(
            "([pieces, type]) => playPieces(pieces, type)", [encoded, codec]
        )
    assert (count, round(start, 1), round(end, 1)) == (1, 0.0, 9.0)
    assert abs(seen["at"] - 9.0) < 0.2

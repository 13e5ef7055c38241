"""Files of every description of colours, through the whole of it: the pixels in Chromium are the source's."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from parts.chromium import NO_PREVIEWS, chromium
from parts.dashboard import DESKTOP, enter_password, until_phase
from parts.mosquitto import mosquitto
from parts.stack import running_stack

BT709, UNSPECIFIED, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9
LIMITED, FULL = 1, 2
WEIGHTS = {
    BT709: (0.2126, 0.0722),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    BT2020: (0.2627, 0.0593),
}
"""Of red and of blue in luma (H.273 table 4)."""
PATCHES = ((200, 30, 30), (30, 160, 40), (40, 60, 200), (220, 170, 140))
WIDTH_PX, HEIGHT_PX, PATCH_PX = 320, 192, 64
TOLERANCE = 4

READ = """([count, of]) => {
  const video = document.querySelector('.stage video');
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 192 });
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 320, 192);
  return [...Array(count).keys()].map((index) => {
    const { data } = context.getImageData((index + 0.5) * (320 / of) - 4, 92, 8, 8);
    return [0, 1, 2].map((part) => {
      let sum = 0;
      for (let at = part; at < data.length; at += 4) sum += data[at];
      return sum / 64;
    });
  });
}"""


@dataclass(frozen=True)
class Source:
    """How a file is coded, and what it says of that."""

    name: str
    codec: str
    pix_fmt: str
    matrix: int
    range: int
    says: bool = True


SOURCES = (
    Source("webcam.avi", "mjpeg", "yuvj422p", BT470BG, FULL),
    Source("unlabelled.mp4", "libx264", "yuv420p", SMPTE170M, LIMITED, says=False),
    Source("bt709.mp4", "libx264", "yuv420p", BT709, LIMITED),
    Source("full-range.mp4", "libx264", "yuvj420p", BT709, FULL),
    Source("bt601.mp4", "libx264", "yuv420p", SMPTE170M, LIMITED),
    Source("wide.mp4", "libx264", "yuv420p", BT2020, LIMITED),
)


def grey(source: Source) -> tuple[int, int, int]:
    """The last patch, by which one knows whose picture is on the screen."""
    return (30 + 36 * SOURCES.index(source),) * 3


def levels(rgb: tuple[int, int, int], source: Source) -> tuple[int, int, int]:
    """Y, Cb and Cr by the definition (H.273 equations 31 to 36)."""
    red, green, blue = rgb
    red_share, blue_share = WEIGHTS[source.matrix]
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    differences = (blue - luma) / (2 - 2 * blue_share), (red - luma) / (2 - 2 * red_share)
    if source.range == FULL:
        return round(luma), *(round(128 + one) for one in differences)
    return round(16 + luma * 219 / 255), *(round(128 + one * 224 / 255) for one in differences)


def write(folder: Path, source: Source) -> Path:
    picture = av.VideoFrame(WIDTH_PX, HEIGHT_PX, source.pix_fmt)
    patches = [levels(rgb, source) for rgb in (*PATCHES, grey(source))]
    for index, plane in enumerate(picture.planes):
        patch_px = PATCH_PX * plane.width // WIDTH_PX
        row = b"".join(bytes([patch[index]]) * patch_px for patch in patches)
        plane.update(row.ljust(plane.line_size, b"\0") * plane.height)
    with av.open(str(folder / source.name), "w") as container:
        stream = container.add_stream(source.codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, source.pix_fmt
        stream.options = {"qmin": "1", "qmax": "1"} if source.codec == "mjpeg" else {"crf": "4"}
        context = stream.codec_context
        context.color_range = source.range
        if source.says and source.codec != "mjpeg":
            context.colorspace, context.color_primaries, context.color_trc = source.matrix, BT709, BT709
        for number in range(15):
            picture.pts, picture.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return folder / source.name


async def test_pixels_are_the_sources_own(tmp_path):
    files = {source: write(tmp_path, source) for source in SOURCES}
    playing = tmp_path / "playing"
    playing.hardlink_to(files[SOURCES[0]])
    camera = f'source = "replay:{playing}"\nkeyframe_interval_s = 1'
    with mosquitto() as broker, running_stack(f'url = "{broker.settings().url}"', camera=camera) as stack:
        async with chromium() as browser:
            page = await browser.new_page(viewport=DESKTOP)
            await page.add_init_script(NO_PREVIEWS)
            await page.goto(stack.url)
            await enter_password(page)
            await page.get_by_role("link", name="Test camera").click()
            await until_phase(page, "playing")
            for source, file in files.items():
                # Each loop opens the file anew, and so plays what is there by then.
                file.replace(playing)
                for _ in range(100):  # of it, and a keyframe at its full quality
                    shown = await page.evaluate(READ, [5, 5])
                    if are_those(shown, source):
                        break
                    await page.wait_for_timeout(200)
                assert are_those(shown, source), (source.name, shown)


def are_those(shown, source):
    """Whether the patches have its colours."""
    return all(
        one == pytest.approx(expected, abs=TOLERANCE)
        for one, expected in zip(shown, (*PATCHES, grey(source)), strict=True)
    )

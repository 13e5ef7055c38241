"""stamp.js agrees with agent/model/stamp.py, by the same times on both sides."""

from parts.dashboard import open_page

from agent.model.stamp import MODULUS_MS, age_ms, encode_bits

TIMES_MS = (0, 1, 255, 256, 1_767_225_600_123, MODULUS_MS - 1)
MODULE = """async (cases) => {
  const app = document.querySelector('script[type=module]').src;
  const { decodeBits, ageMs } = await import(app.replace('app.js', 'stamp.js'));
  return { times: cases.bits.map(decodeBits), ages: cases.ages.map(([stamp, now]) => ageMs(stamp, now)) };
}"""


async def test_the_browser_reads_what_the_camera_burns_in():
    bits = [encode_bits(time) for time in TIMES_MS]
    spoilt = [not bits[4][0], *bits[4][1:]]
    pairs = [(1000, 1040), (1040, 1000), (MODULUS_MS - 5, 5), (5, MODULUS_MS - 5), (0, MODULUS_MS * 3 + 7)]
    async with open_page() as (part, page):
        await page.goto(part.url)
        read = await page.evaluate(
            MODULE, {"bits": [*bits, spoilt, [False] * 48, [True] * 48], "ages": pairs}
        )
    assert read["times"] == [*(time % MODULUS_MS for time in TIMES_MS), None, None, None]
    assert read["ages"] == [age_ms(stamp, now) for stamp, now in pairs]

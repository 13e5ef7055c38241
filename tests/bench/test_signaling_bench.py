"""How long signaling keeps a viewer waiting: the device has 50 ms from the offer to its answer."""

import asyncio
import statistics
import time

from parts.mosquitto import mosquitto

from agent.model.signal import OFFER_LIFETIME_S, Offer
from agent.signaling.broker import Broker
from agent.signaling.messages import encode, parse_to_device

OFFER = Offer(0, 1_800_000_000.0, "ann", "a=rtpmap:102 H264/90000\r\n" * 280)
"""7 KB, as Chromium's offers are."""
ROUNDS = 100


def test_an_offer_is_parsed_in_a_fraction_of_a_millisecond():
    payload = encode(OFFER)
    times_ms = []
    for _ in range(ROUNDS):
        start_s = time.perf_counter()
        parse_to_device(payload)
        times_ms.append(1e3 * (time.perf_counter() - start_s))
    print(f"parse {len(payload)} bytes: p50 {statistics.median(times_ms):.3f} ms")
    assert statistics.median(times_ms) < 2


async def test_an_offer_and_its_answer_cross_the_broker_in_a_few_milliseconds():
    """With Mosquitto as it comes: Nagle's algorithm and delayed ACKs would make it 44 ms."""
    heard = asyncio.Event()
    with mosquitto() as part:
        device = _client(part, "device", "bench/offer", lambda: device.publish("bench/answer", b"{}"))
        portal = _client(part, "portal", "bench/answer", heard.set)
        tasks = [asyncio.create_task(client.run()) for client in (device, portal)]
        times_ms = []
        async with asyncio.timeout(60):
            while not (device.connected and portal.connected):
                await asyncio.sleep(0.01)
            for _ in range(ROUNDS):
                heard.clear()
                start_s = time.perf_counter()
                portal.publish("bench/offer", encode(OFFER), expiry_s=OFFER_LIFETIME_S)
                await heard.wait()
                times_ms.append(1e3 * (time.perf_counter() - start_s))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    print(f"offer to answer: p50 {statistics.median(times_ms):.2f} ms, max {max(times_ms):.2f} ms")
    assert statistics.median(times_ms) < 20


def _client(part, name, topic, on_message):
    return Broker(
        part.settings(),
        client_id=name,
        password=None,
        subscriptions=(topic,),
        on_message=lambda *_: on_message(),
        on_connection=lambda *_: None,
    )

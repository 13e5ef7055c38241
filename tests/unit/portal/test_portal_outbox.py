import asyncio

from agent.portal.outbox import MAX_QUEUED, Outbox


async def drain(outbox):
    return [text async for text in outbox.stream()]


async def test_messages_come_in_order_before_the_close():
    outbox = Outbox(str)
    outbox.put("a")
    outbox.put("b")
    outbox.close(1000, "done")
    assert await drain(outbox) == ["a", "b"]


async def test_a_device_that_changes_often_waits_once_and_is_sent_as_it_is_then():
    newest = {"yard": "old"}
    outbox = Outbox(lambda device: f"{device} {newest[device]}")
    for _ in range(10_000):
        outbox.put_device("yard")
    newest["yard"] = "new"
    stream = outbox.stream()
    assert await anext(stream) == "yard new"
    outbox.close(1000, "done")
    assert [text async for text in stream] == []


async def test_a_client_that_does_not_read_is_closed_and_memory_stays_bounded():
    outbox = Outbox(str)
    for number in range(MAX_QUEUED * 10):
        outbox.put(str(number))
    assert outbox.close_code == 1013
    assert len(await drain(outbox)) == MAX_QUEUED


async def test_the_stream_waits_for_what_comes():
    outbox = Outbox(str)
    reader = asyncio.create_task(drain(outbox))
    await asyncio.sleep(0)
    outbox.put("late")
    await asyncio.sleep(0)
    outbox.close(1001, "going")
    outbox.close(1000, "later reasons do not count")
    assert await reader == ["late"]
    assert (outbox.close_code, outbox.close_reason) == (1001, "going")

"""Whether the broker takes this device in. Where the agent runs it is asked, and not pushed out.

A broker that names its clients by their certificates takes whoever connects with this device's for the agent,
and ends the agent's own connection.
"""

import asyncio
from dataclasses import dataclass

from agent.config import Settings, read_password
from agent.device.place import BrokerNote, read_note
from agent.doctor.holder import has_agent
from agent.doctor.judge import judge_broker
from agent.doctor.report import Finding
from agent.model.topics import device_filters
from agent.mqtt.probe import BrokerVisit, reach_broker, visit_broker


@dataclass(frozen=True, slots=True)
class BesideAgent:
    """The broker was reached, and the running agent was asked for the rest."""

    reached: BrokerVisit
    note: BrokerNote | None
    """None where the agent has said nothing yet, or another user's lets nobody read it."""


async def try_broker(settings: Settings, patience_s: float) -> BrokerVisit | BesideAgent:
    """Connect and subscribe; beside a running agent only TCP and TLS. Raises BrokerError, ConfigError."""
    device, folder = settings.device.id, settings.device.state_dir
    patience_s = min(settings.broker.connect_timeout_s, patience_s)
    broker = settings.broker.model_copy(update={"connect_timeout_s": patience_s})
    if await asyncio.to_thread(has_agent, folder):
        return BesideAgent(await reach_broker(broker), await asyncio.to_thread(read_note, folder))
    filters = device_filters(broker.topic_prefix, device)
    return await visit_broker(broker, read_password(broker), f"pinhole-{device}-doctor", filters)


def judge_standing(url: str, found: BrokerVisit | BesideAgent) -> Finding:
    """Pure."""
    if isinstance(found, BrokerVisit):
        return judge_broker(url, found)
    note = found.note
    if note is None:
        words = "can be reached; the agent runs, and has not said yet whether it is connected"
        return Finding("broker", url, "unknown", words, "ask again in a minute, as the user who runs it")
    if not note.connected:
        said = note.words.removeprefix(f"{url}: ")
        words, _, advice = said.rpartition(": ") if ": " in said else (said, "", "look at the agent's log")
        return Finding("broker", url, "fault", f"the running agent is not connected: {words}", advice)
    return judge_broker(url, found.reached)

"""`pinhole doctor`: builds its checks from the settings and the rooms. No logic of its own."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from agent.camera.select import open_camera
from agent.camera.trial import Trial, try_camera
from agent.client.session import PortalClient, SignIn
from agent.config import CameraSettings, Settings, load
from agent.device.changes import Changed, as_changed
from agent.doctor.broker import judge_standing, try_broker
from agent.doctor.examination import Examination, Outside
from agent.doctor.gnss import judge_receiver, try_receiver
from agent.doctor.holder import Holder, find_holder, has_agent
from agent.doctor.judge import judge_camera
from agent.doctor.labels import judge_network, try_network
from agent.doctor.masks import see_masks
from agent.doctor.modem import judge_modem, try_modem
from agent.doctor.portal import visit_portal
from agent.doctor.ptz import judge_head, try_head
from agent.doctor.recordings import judge_folder, see_folder
from agent.doctor.report import Finding, Report, make_report
from agent.doctor.surroundings import checks, outside
from agent.doctor.upload import judge_store, visit_store
from agent.doctor.visit import Check, Progress
from agent.errors import ConfigError, PinholeError
from agent.model.signal import IceServer
from agent.mqtt.endpoint import parse_endpoint
from agent.portal.turn import load_ice_servers
from agent.signaling.enrolment import broker_settings
from agent.signaling.identity import load_identity

BROKER_S, CAMERA_S, GNSS_S, PTZ_S, MODEM_S, RECORD_S, STORE_S = 12.0, 15.0, 14.0, 14.0, 13.0, 10.0, 10.0
LABELS_S = 14.0
CAMERA_TRIAL_S = 2.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look at besides the settings."""

    portal_url: str | None = None
    sign_in: SignIn | None = None
    """The portal's; without it nobody signs in, and the portal names no ICE servers."""
    with_camera: bool = True


async def run_doctor(config: Path, wish: Wish, progress: Progress) -> Report:
    """A whole visit of this device, within 20 s; what is wrong is in the report and never raised."""
    try:
        changed = await asyncio.to_thread(_as_the_agent, load(config))
        settings = changed.settings.model_copy(update={"broker": broker_settings(changed.settings)})
    except ConfigError as exc:
        finding = Finding("config", str(config), "fault", str(exc), "mend the file, and run this again")
        progress.ended(finding)
        return make_report("", (finding,), time.time(), 0.0)
    examination = Examination(_outside(settings, wish), progress, portal_url=wish.portal_url or "")
    examination.note(_see_identity(settings))
    if masks := see_masks(settings):
        examination.note(masks)
    try:
        servers = _own_servers(settings)
    except PinholeError as exc:  # of a portal on this machine: a device serves without
        servers = ()
        warning = Finding("config", str(config), "warning", str(exc), "mend [portal] in the settings")
        examination.note(warning)
    else:
        examination.note(_see_changes(str(config), changed))
    return await examination.run(settings.device.id, list(_checks(settings, wish)), servers)


def _as_the_agent(settings: Settings) -> Changed:
    """With what was changed from afar."""
    folder = settings.device.state_dir
    return as_changed(folder, settings, is_running=has_agent(folder))


def _see_changes(file: str, changed: Changed) -> Finding:
    if changed.problem:
        advice = f"see `pinhole do {changed.settings.device.id} settings`, or run this as the agent's user"
        return Finding("config", file, "warning", changed.problem, advice)
    with_those = f", with those from afar (version {changed.version})" if changed.version else ""
    return Finding("config", file, "good", f"every setting is valid{with_those}")


def _outside(settings: Settings, wish: Wish) -> Outside:
    url, sign_in = wish.portal_url, wish.sign_in
    return replace(
        outside(settings),
        visit_portal=partial(visit_portal, url) if url else None,
        ice_servers=partial(_ask_portal, url, sign_in) if url and sign_in else None,
    )


def _checks(settings: Settings, wish: Wish) -> Iterator[Check[Any]]:
    url = settings.broker.url
    visit, judge = partial(try_broker, settings, BROKER_S / 2), partial(judge_standing, url)
    yield Check("broker", url, BROKER_S, visit, judge, advice="", host=parse_endpoint(url).host)
    yield from checks(settings)
    if settings.gnss.source != "off":
        receiver, source = partial(try_receiver, settings.gnss), settings.gnss.source
        judge_gnss = partial(judge_receiver, source)
        yield Check("gnss", source, GNSS_S, receiver, judge_gnss, "see [gnss]", failure="warning")
    if settings.ptz.port is not None:
        head, judge_it = partial(try_head, settings.ptz), partial(judge_head, settings.ptz)
        yield Check("ptz", settings.ptz.protocol, PTZ_S, head, judge_it, "see [ptz]", "warning")
    if settings.modem.backend != "none":
        modem, backend = partial(try_modem, settings), settings.modem.backend
        judge_state = partial(judge_modem, backend)
        yield Check("modem", backend, MODEM_S, modem, judge_state, "see [modem]", failure="warning")
    if settings.record.mode != "off":
        see, judge_room = partial(see_folder, settings), partial(judge_folder, settings)
        yield Check("record", str(settings.recordings_folder), RECORD_S, see, judge_room, "look at the disk")
    if settings.record.upload.what != "off":
        visit_it, judge_it = partial(visit_store, settings), partial(judge_store, settings)
        yield Check("upload", "", STORE_S, visit_it, judge_it, "see [record.upload]", failure="warning")
    if settings.motion.network and settings.motion.enabled:
        network, judge_it = partial(try_network, settings.motion), partial(judge_network, settings.motion)
        file = str(settings.motion.network)
        yield Check("labels", file, LABELS_S, network, judge_it, "see [motion]", "warning")
    if wish.with_camera:
        camera = partial(_try_camera, settings.camera)
        yield Check(
            "camera", "", CAMERA_S, camera, judge_camera, "see [camera], and the camera's cable and light"
        )


def _see_identity(settings: Settings) -> Finding:
    """Nobody may watch a device that knows no portal's keys."""
    folder = settings.device.state_dir
    try:
        identity = load_identity(folder)
    except ConfigError as exc:
        advice = "enrol it, as the README says, or run this as the user who runs the agent"
        return Finding("identity", "", "fault", str(exc), advice)
    count = len(identity.portal_keys.publics)
    return Finding(
        "identity", "", "good", f"{settings.device.id} has its key, and knows {count} of the portal's"
    )


def _own_servers(settings: Settings) -> tuple[IceServer, ...]:
    """Those of a portal that shares our settings file; a device of its own has none."""
    return load_ice_servers(settings.portal).grant(f"{settings.device.id}-doctor", time.time()).servers


async def _ask_portal(url: str, sign_in: SignIn) -> tuple[IceServer, ...]:
    async with PortalClient.connect(url, sign_in) as client:
        given = client.hello.ice_servers
    return tuple(IceServer(tuple(one.urls), one.username, one.credential) for one in given if one.urls)


async def _try_camera(settings: CameraSettings) -> Trial | Holder:
    if settings.source.partition(":")[0] not in ("replay", "synthetic"):
        holder = await asyncio.to_thread(find_holder)
        if holder:
            return holder
    return await try_camera(partial(open_camera, settings), settings.bitrate_bps, CAMERA_TRIAL_S)

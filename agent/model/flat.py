"""The state as the first of version 1 said it: flat, and refused where it holds one key more. Pure.

Portals and dashboards of before there were sections go on to read it. So a device says there what it always
said, and in `SectionsMessage` what came since: nothing is said twice, and what is here grows no more.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from agent.model.sections import Sections
from agent.model.signal import Code, Release, State, StreamInfo, UnixTime

_PLACES = {
    "version": ("agent", "version"),
    "camera": ("camera", "state"),
    "camera_kind": ("camera", "kind"),
    "problem": ("camera", "problem"),
    "has_stamp": ("camera", "has_stamp"),
    "viewers": ("viewers", "count"),
}
"""Where in the sections a key stands."""
_OF_STATE = {"name": ("agent", "name"), **_PLACES}
_OF_DEVICE = {
    "name": ("portal", "name"),
    "online": ("portal", "online"),
    "calls_itself": ("portal", "calls_itself"),
    "own_viewers": ("portal", "own_viewers"),
    "watching": ("portal", "watching"),
    **_PLACES,
}
_WHOLE = ("health", "release")
"""Keys that hold a section as it is."""


def state_of(
    sections: Sections, *, boot_id: str, online: bool, since: UnixTime, understands: tuple[Code, ...] = ()
) -> State:
    """What `State` has keys for."""
    keys = _keys(sections, _OF_STATE)
    streams = (
        StreamInfo(name=name, **_known(StreamInfo, stream))
        for name, stream in sections.get("streams", {}).items()
    )
    release = sections.get("release")
    return State(
        boot_id=boot_id,
        online=online,
        since=since,
        streams=tuple(streams),
        release=None if release is None else Release(**_known(Release, release)),
        understands=understands,
        **keys,
    )


def offline(state: State, since: UnixTime) -> State:
    """The same of a device that is gone: nothing runs there."""
    return replace(state, online=False, since=since, camera="idle", viewers=0)


def sections_of(state: State) -> Sections:
    """The other way."""
    made = _placed({key: getattr(state, key) for key in _OF_STATE}, _OF_STATE)
    if state.streams:
        made["streams"] = {stream.name: _shallow(stream, "name") for stream in state.streams}
    if state.release is not None:
        made["release"] = _shallow(state.release)
    return made


def beyond(sections: Sections) -> Sections:
    """What `State` has no key for."""
    state = state_of(sections, boot_id="", online=True, since=0)
    return _less(sections, sections_of(state))


def merged(state: Mapping[str, Any], more: Mapping[str, Any]) -> Sections:
    """What a device said in its `State` and beyond it. Where both say something, the `State` counts."""
    made = dict(more)
    for key, value in state.items():
        beside = more.get(key)
        made[key] = merged(value, beside) if isinstance(value, dict) and isinstance(beside, dict) else value
    return made


def flat_device(sections: Sections) -> dict[str, Any]:
    """A camera as dashboards of before read it, but for `id` and `since`."""
    said = sections.get("streams", {}).items()
    streams = [{**stream, "name": name} for name, stream in said if isinstance(stream, dict)]
    whole = {key: sections[key] for key in _WHOLE if key in sections}
    return _keys(sections, _OF_DEVICE) | {"streams": streams} | whole


def device_sections(flat: Mapping[str, Any]) -> Sections:
    """What a portal of before says of a camera, in sections; values of whatever type as they are."""
    made = _placed(flat, _OF_DEVICE)
    return made | {key: flat[key] for key in _WHOLE if isinstance(flat.get(key), dict)}


def _keys(sections: Sections, places: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    found = ((key, sections.get(section, {}).get(field)) for key, (section, field) in places.items())
    return {key: value for key, value in found if value is not None}


def _placed(flat: Mapping[str, Any], places: Mapping[str, tuple[str, str]]) -> Sections:
    made: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for key, (section, field) in places.items():
        if key in flat:
            made[section][field] = flat[key]
    streams = flat.get("streams")
    for stream in streams if isinstance(streams, list) else ():
        if isinstance(stream, dict) and isinstance(stream.get("name"), str):
            made["streams"][stream["name"]] = {key: each for key, each in stream.items() if key != "name"}
    return dict(made)


def _shallow(record: Any, *but: str) -> dict[str, Any]:
    """As `asdict`, which copies deeply: a portal does this for each state that it hears."""
    return {each.name: getattr(record, each.name) for each in fields(record) if each.name not in but}


def _known(of: type[Any], said: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: said[each.name] for each in fields(of) if each.name in said}


def _less(more: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in more.items():
        if key not in known:
            made[key] = value
        elif isinstance(value, dict) and (rest := _less(value, known[key])):
            made[key] = rest
    return made

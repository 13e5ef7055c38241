"""A camera as the portal tells of it: its state in sections, of which we read what we show."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.model.flat import device_sections
from agent.model.ids import Id
from agent.model.signal import Text


class _Section(BaseModel):
    """What we show of a section; the rest is kept unread."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Portal(_Section):
    """What the portal itself says of a camera."""

    name: Text = ""
    online: bool


class Agent(_Section):
    """The camera's program."""

    version: Text = ""


class Camera(_Section):
    """What its camera does."""

    state: Text = ""
    kind: Text = ""
    problem: Text = ""


class Viewers(_Section):
    """Who watches."""

    count: int = 0


class Fault(_Section):
    """Something that keeps a device from serving, as its doctor says."""

    check: Text
    message: Text = ""


class Health(_Section):
    """The verdict of a device's doctor."""

    nat: Text = "unknown"
    faults: Annotated[list[Fault], Field(max_length=16)] = []


class Release(_Section):
    """How a device's releases fare."""

    on_trial: bool = False
    since: float = 0.0
    given_back: Text = ""
    reason: Text = ""


class Modem(_Section):
    """A device's mobile modem."""

    state: Text = ""
    reason: Text = ""
    operator: Text = ""
    technology: Text = ""
    band: Text = ""
    rsrp_dbm: float | None = None
    signal: Text = ""
    signal_bars: int = 0


class Ptz(_Section):
    """The head that moves a camera."""

    state: Text = ""


class Gnss(_Section):
    """A device's satellite receiver."""

    state: Text = ""
    problem: Text = ""


class Sections(_Section):
    """Those that we show, and all others."""

    portal: Portal
    agent: Agent = Agent()
    camera: Camera = Camera()
    viewers: Viewers = Viewers()
    health: Health | None = None
    release: Release | None = None
    modem: Modem | None = None
    ptz: Ptz | None = None
    gnss: Gnss | None = None


class Device(BaseModel):
    """A camera on the portal."""

    model_config = ConfigDict(frozen=True)

    id: Id
    since: float | None = None
    sections: Sections

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, said: Any) -> Any:
        """A portal of before there were sections says the same without them."""
        if isinstance(said, dict) and "sections" not in said:
            return {"id": said.get("id"), "since": said.get("since"), "sections": device_sections(said)}
        return said

    @property
    def name(self) -> str:
        """What people read."""
        return self.sections.portal.name

    @property
    def online(self) -> bool:
        """Whether it can be watched."""
        return self.sections.portal.online

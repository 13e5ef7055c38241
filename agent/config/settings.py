"""`pinhole.toml` as typed settings."""

import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from agent.model.hours import parse_hours
from agent.model.ids import Id
from agent.model.signal import IceUrl

Port = Annotated[int, Field(ge=0, le=65535)]


def _without_spaces(url: str) -> str:
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("must hold no space")
    return url


def _broker_url(value: str) -> str:
    parts = urlsplit(_without_spaces(value))
    if parts.scheme not in ("mqtt", "mqtts", "ws", "wss") or not parts.hostname:
        raise ValueError("must be mqtt://, mqtts://, ws:// or wss://, then host and optional port")
    if parts.username or parts.password:
        raise ValueError("must not carry credentials: use username and password_file")
    try:
        _ = parts.port
    except ValueError as exc:
        raise ValueError("the port must be a number from 0 to 65535") from exc
    return value


def _resolve(value: Path, info: ValidationInfo) -> Path:
    """A bare name that systemd holds as a credential is that; any other path is relative to the file.

    systemd.exec(5): credentials are files in `$CREDENTIALS_DIRECTORY`, readable by the service alone.
    """
    context: dict[str, Path | None] = info.context or {}
    credentials, base = context.get("credentials"), context.get("base")
    if credentials and len(value.parts) == 1 and (credentials / value).is_file():
        return credentials / value
    return base / value if base else value


SOURCES = "auto, picamera, picamera:N, v4l2:DEVICE, replay:FILE or synthetic"
_TAKES_ARGUMENT = {
    "auto": False, "picamera": None, "v4l2": True, "replay": True, "synthetic": False, "demo": False,
}  # fmt: skip


def parse_source(value: str) -> tuple[str, str]:
    """A camera's kind and its argument. Raises ValueError that says what may stand there instead."""
    kind, _, argument = value.partition(":")
    address = argument if kind in _TAKES_ARGUMENT else value
    if "://" in address:
        scheme = address.partition(":")[0].upper()
        raise ValueError(f"{scheme} is no source: cameras are attached to this machine; must be {SOURCES}")
    if kind not in _TAKES_ARGUMENT:
        raise ValueError(f"must be {SOURCES}{_meant(value)}")
    needed = _TAKES_ARGUMENT[kind]
    if needed is not None and needed != bool(argument):
        raise ValueError(
            f"{kind} needs an argument, as in {kind}:…" if needed else f"{kind} takes no argument"
        )
    if kind == "picamera" and argument and not argument.isdecimal():
        raise ValueError("the argument of picamera is the camera's number, as in picamera:1")
    return kind, argument


def _meant(value: str) -> str:
    if value.startswith("/dev/"):
        return f"; did you mean v4l2:{value}?"
    return f"; did you mean replay:{value}?" if "." in value else ""


def _camera_source(value: str, info: ValidationInfo) -> str:
    kind, argument = parse_source(value)
    base: Path | None = (info.context or {}).get("base")
    return f"{kind}:{base / argument}" if kind == "replay" and base else value


BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
CameraSource = Annotated[str, AfterValidator(_camera_source)]
ConfigPath = Annotated[Path, AfterValidator(_resolve), Field(strict=False)]
"""Relative to the settings file once loaded."""
TopicPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=64)]


class RuleError(ValueError):
    """Several settings of one section do not go together; one (key, rule) a fault."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {rule}" for key, rule in faults))
        self.faults = faults


class Section(BaseModel):
    """Unknown keys are faults: a typing error must not pass for a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    settable: ClassVar[frozenset[str]] = frozenset()
    """Keys that may be changed from afar, on trial: no secret, no key, not where broker and portal are."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        faults = list(self._rules())
        if faults:
            raise RuleError(faults)
        return self

    def _rules(self) -> Iterator[tuple[str, str]]:
        """What its settings demand of each other: one (key, rule) for each that is broken."""
        yield from ()


def default_device_id() -> str:
    """The host name's first label, with what an id may not hold turned into dashes."""
    label = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().split(".")[0])[:64]
    return label or "camera"


def _both(first: object, first_key: str, second: object, second_key: str) -> Iterator[tuple[str, str]]:
    if (first is None) != (second is None):
        present, absent = (first_key, second_key) if second is None else (second_key, first_key)
        yield present, f"needs {absent} too"


class DeviceSettings(Section):
    """Who this camera is."""

    settable = frozenset({"name"})
    id: Id = Field(
        default_factory=default_device_id,
        description="Unique in the fleet; letters, digits, - and _. Default: the host name.",
        examples=["front-door"],
    )
    name: str = Field(
        title="Name",
        default="",
        max_length=80,
        description="What people read on the dashboard. Default: the id.",
    )
    state_dir: ConfigPath = Field(
        default=Path("/var/lib/pinhole"),
        description="Folder of this device's key and of what `pinhole enroll` got for it.",
    )

    @property
    def display_name(self) -> str:
        """What people read."""
        return self.name or self.id


class BrokerSettings(Section):
    """How to reach the MQTT broker; for the agent and the portal alike."""

    settable = frozenset({"keepalive_s", "session_expiry_s", "connect_timeout_s", "reconnect_max_s"})
    url: BrokerUrl = Field(
        default="mqtt://127.0.0.1:1883",
        description="mqtt:// or mqtts:// (TLS), ws:// or wss:// (MQTT over websockets); host, port, path.",
    )
    version: Literal["5", "3.1.1"] = Field(default="5", description="MQTT protocol version.")
    topic_prefix: TopicPrefix = Field(default="pinhole", description="First levels of every topic.")
    username: str | None = Field(
        default=None,
        max_length=256,
        description="User name, where the broker asks for one.",
        examples=["front-door"],
    )
    password_file: ConfigPath | None = Field(
        default=None,
        description="File that holds the password, and nothing else.",
        examples=["broker-password"],
    )
    ca_file: ConfigPath | None = Field(
        default=None,
        description="CA certificates (PEM) to trust instead of the system's; for mqtts and wss.",
        examples=["ca.pem"],
    )
    cert_file: ConfigPath | None = Field(
        default=None, description="Client certificate (PEM); needs key_file.", examples=["client.pem"]
    )
    key_file: ConfigPath | None = Field(
        default=None, description="The client certificate's private key (PEM).", examples=["client-key.pem"]
    )
    keepalive_s: int = Field(
        title="Keepalive", default=30, ge=5, le=1200, description="MQTT keepalive in seconds."
    )
    session_expiry_s: int = Field(
        title="Session kept by the broker",
        default=3600,
        ge=0,
        le=86400,
        description="How long the broker keeps our session while we are away.",
    )
    connect_timeout_s: float = Field(
        title="Time to connect",
        default=20,
        gt=0,
        le=120,
        description="TCP, TLS and MQTT handshake in seconds; LTE needs more than a LAN.",
    )
    reconnect_max_s: float = Field(
        title="Longest pause between attempts",
        default=120,
        ge=1,
        le=3600,
        description="The longest pause between two attempts; pauses are random below it.",
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        yield from _both(self.cert_file, "cert_file", self.key_file, "key_file")
        if self.password_file and not self.username:
            yield "password_file", "needs username too"
        if urlsplit(self.url).scheme in ("mqtt", "ws"):
            for key in ("ca_file", "cert_file", "key_file"):
                if getattr(self, key):
                    yield key, "needs TLS: an mqtts:// or wss:// url"


class OverlaySettings(Section):
    """Written into every picture, above the privacy masks: live, in stills and in recordings."""

    settable = frozenset({"name", "time", "text", "corner"})
    name: bool = Field(title="Name", default=False, description="The device's name.")
    time: bool = Field(title="Time", default=False, description="Date and time, in the device's time zone.")
    text: str = Field(
        title="Text",
        default="",
        max_length=60,
        description="A text of your own; letters beyond ASCII lose their accents.",
    )
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = Field(
        title="Corner", default="bottom-left", description="Where it stands."
    )


class PreviewSettings(Section):
    """The small second stream: for grids, and for viewers whose link cannot carry the full picture."""

    settable = frozenset({"enabled", "width_px", "fps", "bitrate_bps"})
    enabled: bool | None = Field(
        title="Preview",
        default=None,
        description="true or false. Default: where the board has room for it, so not on a Zero 2 W.",
        examples=[False],
    )
    width_px: int = Field(
        title="Width",
        default=640,
        ge=64,
        le=1280,
        multiple_of=2,
        description="Its height follows the full picture's shape.",
    )
    fps: float = Field(
        title="Frame rate",
        default=15,
        ge=1,
        le=30,
        description="Frames a second; a Pi's hardware encoder makes at most 10.",
    )
    bitrate_bps: int = Field(
        title="Highest bitrate",
        default=500_000,
        ge=100_000,
        le=5_000_000,
        description="The most that its encoder makes.",
    )


class ImageSettings(Section):
    """How a Pi camera takes its pictures. What it has not is passed over, and the log says so."""

    settable = frozenset(
        {
            "sensor_mode",
            "af_mode",
            "lens_position",
            "exposure_us",
            "night_fps",
            "flicker_hz",
            "noise_reduction",
            "hdr",
        }
    )
    sensor_mode: str | None = Field(
        title="Sensor mode",
        default=None,
        pattern=r"^\d+x\d+$",
        description="A mode's size, of those that `rpicam-hello --list-cameras` shows. Default: the fastest "
        "that shows all that the sensor sees.",
        examples=["2304x1296"],
    )
    af_mode: Literal["continuous", "auto", "manual"] | None = Field(
        title="Autofocus",
        default=None,
        description="Autofocus: continuous, auto (once at each start) or manual. Default: continuous, where "
        "the lens moves.",
        examples=["manual"],
    )
    lens_position: float | None = Field(
        title="Lens position",
        default=None,
        ge=0,
        le=32,
        description="A fixed focus instead, in dioptres: 0 is far away, 2 half a metre.",
        examples=[0.5],
    )
    exposure_us: int | None = Field(
        title="Exposure time",
        default=None,
        ge=10,
        le=200_000,
        description="A fixed exposure time. Default: as the light asks for.",
        examples=[5000],
    )
    night_fps: float | None = Field(
        title="Frame rate in the dark",
        default=None,
        ge=5,  # below, a stream of which pictures are left out would be taken for a silent one
        le=60,
        description="In the dark the frame rate may fall to this, for longer exposures: 5 lets them grow to "
        "200 ms. Default: it never falls.",
        examples=[10],
    )
    flicker_hz: Literal[50, 60] | None = Field(
        title="Mains frequency",
        default=None,
        description="The mains' frequency, against the flicker of lamps: 50 or 60. Default: not minded.",
        examples=[50],
    )
    noise_reduction: Literal["off", "fast", "high-quality", "minimal"] | None = Field(
        title="Noise reduction", default=None, description="Default: fast.", examples=["high-quality"]
    )
    hdr: bool = Field(
        title="HDR", default=False, description="High dynamic range: a Camera Module 3's own, or a Pi 5's."
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        if self.lens_position is not None and self.af_mode not in (None, "manual"):
            yield "lens_position", f"is fixed: not with af_mode = {self.af_mode}"


class CameraSettings(Section):
    """Which camera, and what it delivers."""

    settable = frozenset(
        {
            "width_px",
            "height_px",
            "fps",
            "bitrate_bps",
            "min_bitrate_bps",
            "keyframe_interval_s",
            "linger_s",
            "rotate",
        }
    )
    source: CameraSource = Field(
        default="auto",
        description="auto, picamera, picamera:N, v4l2:/dev/video0, replay:FILE (MP4 or H.264) or synthetic. "
        "auto takes a Pi camera, else a USB camera; synthetic is a test picture.",
    )
    width_px: int | None = Field(
        title="Width",
        default=None,
        ge=64,
        le=1920,
        multiple_of=2,
        description="Picture width. Default: what the board can encode.",
        examples=[1280],
    )
    height_px: int | None = Field(
        title="Height",
        default=None,
        ge=64,
        le=1920,
        multiple_of=2,
        description="Picture height; needs width_px.",
        examples=[720],
    )
    fps: float | None = Field(
        title="Frame rate",
        default=None,
        ge=1,
        le=60,
        description="Frames a second. Default: the board's, 25 or 30.",
        examples=[30],
    )
    bitrate_bps: int = Field(
        title="Highest bitrate",
        default=2_000_000,
        ge=100_000,
        le=25_000_000,
        description="The most that the encoder makes, in bits a second; it follows the viewers' links.",
    )
    min_bitrate_bps: int | None = Field(
        title="Lowest bitrate",
        default=None,
        ge=50_000,
        le=5_000_000,
        description="The least that the encoder is set to; below it pictures are left out, then viewers "
        "get the preview. Default: 100 kb/s for libx264, 500 kb/s for a USB camera's own encoder, 1 Mb/s "
        "for a Pi's, which may stall below.",
        examples=[1_000_000],
    )
    keyframe_interval_s: float = Field(
        title="Keyframe interval",
        default=60,
        ge=0.5,
        le=60,
        description="Longest time between two IDR pictures; viewers ask for more themselves.",
    )
    linger_s: float = Field(
        title="Runs on after the last viewer",
        default=10,
        ge=0,
        le=3600,
        description="How long the camera runs on after the last viewer has left.",
    )
    rotate: Literal[0, 180] = Field(
        title="Rotation", default=0, description="Turn the picture: 0 or 180 degrees."
    )
    preview: PreviewSettings = Field(default_factory=PreviewSettings)
    overlay: OverlaySettings = Field(default_factory=OverlaySettings)
    image: ImageSettings = Field(default_factory=ImageSettings)

    def _rules(self) -> Iterator[tuple[str, str]]:
        yield from _both(self.width_px, "width_px", self.height_px, "height_px")
        if self.rotate and self.source in ("synthetic", "demo"):
            yield "rotate", "the test picture is not turned: its stamp could not be read any more"
        is_pi = self.source.partition(":")[0] in ("auto", "demo", "picamera")
        if self.image != ImageSettings() and not is_pi:
            yield "image", f"is for a picamera, not for {self.source}"
        if self.image.night_fps and self.fps and self.image.night_fps >= self.fps:
            yield "image.night_fps", "must be below fps"


class WebrtcSettings(Section):
    """The streams to the viewers."""

    settable = frozenset({"max_viewers", "uplink_bps", "connect_timeout_s"})
    max_viewers: int = Field(
        title="Viewers at a time",
        default=8,
        ge=1,
        le=64,
        description="Of one more, those give way who may do less with the camera, or hold more places.",
    )
    uplink_bps: int | None = Field(
        title="Uplink",
        default=None,
        ge=100_000,
        le=1_000_000_000,
        description="What all viewers together may take, in bits a second; one for whom it leaves no good "
        "picture is refused. Default: no limit but what each link carries.",
        examples=[4_000_000],
    )
    l4s: bool = Field(
        default=False,
        description="Mark packets with ECT(1) on direct paths, for viewers that report marks (RFC 8888), and "
        "slow down at the first sign of a queue. For networks with L4S queues: browsers report no marks by "
        "themselves; agent/rtc/README.md says which can.",
    )
    exclude_interfaces: list[str] = Field(
        default=["docker*", "br-*", "veth*", "virbr*", "tailscale*", "wg*"],
        description="Interfaces (shell patterns) whose addresses are not offered to viewers.",
    )
    connect_timeout_s: float = Field(
        title="Time to connect",
        default=20,
        gt=1,
        le=120,
        description="A viewer that is not connected by then is given up.",
    )


def _address(value: str) -> str:
    parts = urlsplit(f"//{_without_spaces(value)}")
    try:
        is_one = bool(parts.hostname and parts.port and value == parts.netloc and not parts.username)
        (parts.hostname or "").encode("idna")
    except ValueError:  # no port, or labels that are empty or too long
        is_one = False
    if not is_one:
        raise ValueError("must be HOST:PORT")
    return value


class ModemRecoverySettings(Section):
    """What is tried by itself where the modem leads to the portal no more; see `agent/serial/README.md`."""

    settable = frozenset({"enabled", "reboots_a_day"})
    enabled: bool = Field(
        title="Recovery",
        default=True,
        description="Renew, reset, cut its power, at last reboot. Without, it is only told.",
    )
    reboots_a_day: int = Field(
        title="Reboots a day",
        default=4,
        ge=0,
        le=24,
        description="At most so many reboots of the device for it; 0 for none.",
    )
    second_address: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None,
        description="HOST:PORT that takes TCP connections elsewhere, best an IP address: where it is out of "
        "reach too, the modem is at fault. Default: none, since no host is everybody's; a modem that says it "
        "is connected is then neither reset nor the device rebooted.",
        examples=["192.0.2.1:443"],
    )


class SmsSettings(Section):
    """Commands by SMS that the portal signed, for a camera that it reaches by nothing else."""

    enabled: bool = Field(
        default=False,
        description="Look at the messages that the modem gets, and delete them.",
    )


class DataPlanSettings(Section):
    """What the SIM card's plan allows: counted over restarts, then the streams are held down."""

    settable = frozenset({"monthly_cap_mb", "first_day", "warn_percent", "ceiling_bps"})
    monthly_cap_mb: int | None = Field(
        title="Data a month",
        default=None,
        ge=1,
        le=10_000_000,
        description="Megabytes (10^6) that may be sent to viewers in a month. Default: no cap.",
        examples=[10_000],
    )
    first_day: int = Field(
        title="First day of the month",
        default=1,
        ge=1,
        le=28,
        description="Day on which the provider's month begins, in UTC.",
    )
    warn_percent: int = Field(
        title="Warning", default=80, ge=1, le=100, description="An event tells when so much is used."
    )
    ceiling_bps: int = Field(
        title="Bitrate once it is used up",
        default=300_000,
        ge=50_000,
        le=25_000_000,
        description="The most that a stream may be once the cap is reached, in bits a second.",
    )


class StillsSettings(Section):
    """Single pictures: for the dashboard's grid, of events, and by the clock."""

    settable = frozenset({"through_portal", "every_s", "size", "max_mb"})
    through_portal: bool = Field(
        title="Stills through the portal",
        default=True,
        description="Stills and pictures of events may go through broker and portal, which can see them.",
    )
    every_s: Literal[0] | Annotated[int, Field(ge=10, le=86_400)] = Field(
        title="Time-lapse interval",
        default=0,
        description="A still is kept on the device, in `lapse` of the recordings' folder, every so many "
        "seconds; 0: none.",
        examples=[300],
    )
    size: Literal["small", "full"] = Field(
        title="Size of its stills", default="full", description="Of these: 640 pixels wide, or all."
    )
    max_mb: int = Field(
        title="Room for its stills",
        default=500,
        ge=1,
        le=1_000_000,
        description="What these may take, in MB (10^6); the oldest goes.",
    )


def _hours(value: str) -> str:
    parse_hours(value)
    return value


class RecordUploadSettings(Section):
    """Sends recordings to the portal's store, while nobody watches; no key of it is on the device."""

    settable = frozenset({"what", "signal", "plan_percent", "max_bps"})
    what: Literal["off", "events", "all"] = Field(
        title="What is sent",
        default="off",
        description="events, what was recorded for one; all, whatever was.",
    )
    hours: list[Annotated[str, AfterValidator(_hours)]] = Field(
        default=[],
        max_length=20,
        description="Days and hours in which they are sent, in the device's local time. Default: at any.",
        examples=[["mon-sun 01:00-05:00"]],
    )
    signal: Literal["any", "weak", "fair", "good"] = Field(
        title="Least signal",
        default="any",
        description="The least signal of a mobile modem with which they are sent.",
    )
    plan_percent: int = Field(
        title="Share of the data plan",
        default=50,
        ge=1,
        le=100,
        description="They wait once so much of data_plan.monthly_cap_mb is used in a month, by whatever.",
    )
    max_bps: int | None = Field(
        title="Highest rate",
        default=None,
        ge=64_000,
        le=1_000_000_000,
        description="The most that they take of the link, in bits a second. Default: what makes its queue no "
        "longer, 8 Mb/s at most.",
        examples=[1_000_000],
    )
    allow_http: bool = Field(
        default=False,
        description="A store may be reached without TLS: whoever is on the way then sees the recordings.",
    )


class RecordSettings(Section):
    """Recording on the device. Where it is on, the camera runs all the time."""

    settable = frozenset(
        {
            "mode",
            "streams",
            "pre_s",
            "post_s",
            "keyframe_s",
            "unwatched_bitrate_bps",
            "max_mb",
            "min_free_mb",
            "max_days",
        }
    )
    mode: Literal["off", "event", "continuous", "schedule"] = Field(
        title="What is recorded",
        default="off",
        description="event keeps what happens, from before it began; continuous all; schedule all within its "
        "hours, and what happens besides.",
    )
    folder: ConfigPath | None = Field(
        default=None,
        description="Where recordings go; best a file system of its own, on an endurance card or a disk, "
        "mounted at /srv/pinhole. Default: recordings in device.state_dir.",
        examples=["/srv/pinhole"],
    )
    own_partition: bool = Field(
        default=False,
        description="Record only while a file system of its own is mounted there, so that a card that is "
        "pulled out does not fill the system's.",
    )
    streams: Literal["main", "preview", "both"] = Field(
        title="Streams",
        default="both",
        description="main, preview or both; looking through a day is quicker with both.",
    )
    schedule: list[Annotated[str, AfterValidator(_hours)]] = Field(
        default=[],
        max_length=20,
        description="Days and hours of the mode schedule, in the device's local time.",
        examples=[["mon-fri 18:00-06:00", "sat,sun 00:00-24:00"]],
    )
    pre_s: float = Field(
        title="Before an event",
        default=10,
        ge=0,
        le=60,
        description="How long before an event its recording begins.",
    )
    post_s: float = Field(
        title="After an event",
        default=10,
        ge=0,
        le=300,
        description="And how long after it the recording ends.",
    )
    keyframe_s: float = Field(
        title="Keyframe interval",
        default=4,
        ge=1,
        le=30,
        description="Longest time between two IDR pictures while it records or may have to: they let a "
        "recording begin and a seek land, and cost who watches live some quality.",
    )
    unwatched_bitrate_bps: int | None = Field(
        title="Bitrate while nobody watches",
        default=None,
        ge=100_000,
        le=25_000_000,
        description="What main is encoded with while nobody watches it, in bits a second; with viewers it "
        "follows their links. Default: camera.bitrate_bps.",
        examples=[1_500_000],
    )
    max_mb: int | None = Field(
        title="Room for recordings",
        default=None,
        ge=50,
        le=100_000_000,
        description="The most that recordings take, in megabytes (10^6). Default: what min_free_mb leaves.",
        examples=[50_000],
    )
    min_free_mb: int = Field(
        title="Room left free",
        default=1000,
        ge=0,
        le=100_000_000,
        description="What stays free of the file system: before it is less, the oldest recordings go.",
    )
    max_days: int = Field(
        title="Kept for",
        default=3,
        ge=0,
        le=3650,
        description="Recordings that are older are removed, but for locked ones; 0: only for room. In public "
        "view law may ask for few: 72 hours are a common bound.",
    )
    upload: RecordUploadSettings = Field(default_factory=RecordUploadSettings)

    def _rules(self) -> Iterator[tuple[str, str]]:
        if self.mode == "schedule" and not self.schedule:
            yield "schedule", "needs days and hours for the mode schedule"


def _ptz_port(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "udp" and parts.hostname and not parts.path:
        _ = parts.port  # which raises ValueError
        parts.hostname.encode("idna")  # which does so too, where a label is empty or too long
        return value
    if not value.startswith("/"):
        raise ValueError("must be a path as in /dev, or udp://HOST or udp://HOST:PORT for VISCA over IP")
    return value


Degrees = Annotated[float, Field(ge=-360, le=360)]


class PtzSettings(Section):
    """A head that pans, tilts and zooms."""

    settable = frozenset({"max_speed", "fov_deg", "zoom_max", "home_preset", "idle_return_s"})
    port: Annotated[str, AfterValidator(_ptz_port)] | None = Field(
        default=None,
        description="Its serial port, by a name that stays; udp://HOST for VISCA over IP. Default: no head.",
        examples=["/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"],
    )
    protocol: Literal["pelco-d", "pelco-p", "visca", "visca-ip"] = Field(
        default="pelco-d", description="What it speaks."
    )
    address: int = Field(
        default=1, ge=1, le=255, description="Its number on the bus: 1 to 255, Pelco-P 1 to 32, VISCA 1 to 7."
    )
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200] | None = Field(
        default=None,
        description="Default: 2400 for Pelco-D, 4800 for Pelco-P, 9600 for VISCA.",
        examples=[4800],
    )
    rs485: Literal["auto", "kernel"] = Field(
        default="auto",
        description="Who turns an RS-485 bus around: the adapter by itself, or the UART's driver.",
    )
    max_speed: float = Field(
        title="Highest speed", default=1.0, gt=0, le=1, description="Share of its highest speed."
    )
    fov_deg: float = Field(
        title="Field of view",
        default=60.0,
        ge=2,
        le=180,
        description="How many degrees wide the picture is at the wide end.",
    )
    zoom_max: float | None = Field(
        title="Longest zoom",
        default=None,
        gt=1,
        le=100,
        description="Magnification at the tele end: motions become slower, the more is zoomed in; boxes, "
        "wheel and pinch zoom the lens.",
        examples=[18],
    )
    units_per_deg: float = Field(
        default=14.4, ge=1, le=1000, description="VISCA: the head's position counts so many to a degree."
    )
    pan_limits_deg: Annotated[list[Degrees], Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="How far it may turn left and right, where it tells its position: never by Pelco-P.",
        examples=[[-170, 170]],
    )
    tilt_limits_deg: Annotated[list[Degrees], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="How far down and up.", examples=[[-30, 90]]
    )
    home_preset: int | None = Field(
        title="Home preset",
        default=None,
        ge=1,
        le=255,
        description="The preset that is its home, for VISCA at most 127. Default: VISCA's own home; Pelco "
        "has none.",
        examples=[1],
    )
    trust_presets: bool = Field(
        default=False,
        description="Privacy masks believe a head that tells nothing that it is at the preset to which it "
        "was sent: it may not have heard, and the picture then shows what is beside the masks.",
    )
    idle_return_s: float = Field(
        title="Goes home after",
        default=0.0,
        ge=0,
        le=86400,
        description="It goes home so long after the last command; 0: never.",
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        most = {"pelco-d": 255, "pelco-p": 32}.get(self.protocol, 7)
        if self.address > most:
            yield "address", f"must be at most {most} for {self.protocol}"
        is_udp = self.port is not None and self.port.startswith("udp:")
        if self.port is not None and is_udp != (self.protocol == "visca-ip"):
            yield "port", "must be udp://HOST for visca-ip, and a path in /dev for all others"
        if self.protocol.startswith("visca") and (self.home_preset or 0) > 127:
            yield "home_preset", "must be at most 127 for VISCA"
        for key in ("pan_limits_deg", "tilt_limits_deg"):
            limits = getattr(self, key)
            if limits is not None and limits[0] >= limits[1]:
                yield key, "the first must be below the second"
            elif limits is not None and self.protocol == "pelco-p":
                yield key, "cannot hold: Pelco-P tells no position"


class ModemSettings(Section):
    """The mobile modem: told of on the dashboard, and recovered where it hangs, at last by a reboot."""

    backend: Literal["none", "modemmanager", "at"] = Field(
        default="none",
        description="Who is asked for it: modemmanager (over D-Bus, as the role modem sets it up), at (the "
        "modem itself, by its port), or none. Either also recovers it, see [modem.recovery].",
    )
    port: str = Field(
        default="/dev/pinhole-modem",
        pattern=r"^/[A-Za-z0-9._/:+@-]{1,200}$",
        description="For at: the port that takes its commands. For modemmanager: its second AT port, which "
        "tells how warm it is; it need not be there.",
        examples=["/dev/ttyAMA0"],
    )
    interface: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,15}$",
        description="The network interface that carries its data, where it looks like a cable: then it is "
        "not taken for another way out. For at it is counted where the modem does not count.",
        examples=["usb0"],
    )
    recovery: ModemRecoverySettings = Field(default_factory=ModemRecoverySettings)


class IceServerSettings(Section):
    """One fixed STUN or TURN server."""

    urls: list[IceUrl] = Field(
        min_length=1,
        max_length=8,
        description="stun:, stuns:, turn: or turns: URLs.",
        examples=[["stun:stun.example.org:3478"]],
    )
    username: str | None = Field(default=None, description="For turn and turns.", examples=["camera"])
    credential_file: ConfigPath | None = Field(
        default=None, description="File that holds the TURN password.", examples=["turn-password"]
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        yield from _both(self.username, "username", self.credential_file, "credential_file")
        if self.username is None and any(url.startswith("turn") for url in self.urls):
            yield "urls", "turn and turns need username and credential_file"


class TurnSettings(Section):
    """coturn with `use-auth-secret`: credentials that expire, for both ends of each session."""

    urls: list[IceUrl] = Field(
        min_length=1,
        max_length=64,
        description="turn: and turns: URLs of one server or of several; a session gets three of them.",
        examples=[["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:5349?transport=tcp"]],
    )
    secret_file: ConfigPath = Field(
        description="File that holds coturn's static-auth-secret.", examples=["/etc/pinhole/turn-secret"]
    )
    ttl_s: int = Field(
        default=600,
        ge=60,
        le=86400,
        description="How long a credential opens new relays, in seconds; also after a revocation.",
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        if not all(url.startswith("turn") for url in self.urls):
            yield "urls", "must be turn: or turns: URLs; stun: belongs under [[portal.ice_servers]]"


def _database_url(value: str, info: ValidationInfo) -> str:
    """A SQLite file is relative to the settings file, as every path."""
    scheme, separator, rest = value.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{_resolve(Path(rest[1:]), info)}"
    if scheme != "postgresql" or not separator or not rest:
        raise ValueError("must be sqlite:///FILE or postgresql://USER@HOST/NAME")
    if urlsplit(value).password:
        raise ValueError("must not carry a password: use database_password_file")
    return value


class OidcSettings(Section):
    """Sign-in at the company's OpenID provider. Its redirect address is `<public_url>/api/company/return`."""

    name: str = Field(
        default="company account",
        min_length=1,
        max_length=60,
        description="What the button says after “Sign in with”.",
    )
    issuer: str = Field(
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])[:/])",
        description="The provider's address, as its metadata names it.",
        examples=["https://login.example.org"],
    )
    client_id: str = Field(
        min_length=1, max_length=256, description="What it calls us.", examples=["pinhole"]
    )
    client_secret_file: ConfigPath | None = Field(
        default=None,
        description="File that holds the client's secret, where it has one.",
        examples=["oidc-secret"],
    )
    name_claim: str = Field(
        default="email",
        pattern=r"^[A-Za-z0-9_:/.-]{1,128}$",
        description="The ID token's claim that is the user name here; an email must be verified.",
    )
    allow_new: bool = Field(
        default=False,
        description="Make an account, without any camera, for whoever the provider lets in.",
    )
    factor_values: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default=[],
        max_length=16,
        description="Values of the ID token's amr or acr that show a second factor, one of which it must "
        "have where portal.require_code_for asks for one. Default: the provider is believed.",
        examples=[["mfa"]],
    )


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as exc:
        raise ValueError("must be an address or a network, as in 10.0.0.0/8") from exc
    return value


def _public_url(value: str) -> str:
    parts = urlsplit(_without_spaces(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be https:// and a host")
    if parts.path not in ("", "/"):
        raise ValueError("must end after host and port")
    return value.rstrip("/")


class NotifySettings(Section):
    """How people are told of events: by browsers that they allow it, webhooks, mail and other services."""

    private_addresses: bool = Field(
        default=False,
        description="Let channels lead to private addresses and by http, for a webhook or a service of your "
        "own. Whoever has an account then reaches what this machine reaches.",
    )
    contact: str | None = Field(
        default=None,
        pattern=r"^(mailto:[^\s@]+@[^\s@]+|https://\S+)$",
        max_length=200,
        description="Whom push services write to where something is wrong: mailto: or https:. Default: "
        "portal.public_url.",
        examples=["mailto:cams@example.org"],
    )


class MailSettings(Section):
    """The server that takes the portal's mail; without one nobody is told by mail."""

    host: str = Field(min_length=1, max_length=255, description="Its name.", examples=["mail.example.org"])
    port: Port | None = Field(
        default=None, description="Default: 587 for starttls, 465 for tls, 25 for none.", examples=[587]
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="none is for a server on this machine alone."
    )
    user: str | None = Field(
        default=None, max_length=255, description="Who signs in there.", examples=["cams@example.org"]
    )
    password_file: ConfigPath | None = Field(
        default=None, description="File that holds the password.", examples=["mail-password"]
    )
    ca_file: ConfigPath | None = Field(
        default=None,
        description="Authorities (PEM) that prove the server. Default: the system's.",
        examples=["mail-ca.pem"],
    )
    sender: str = Field(
        pattern=r"^[^\s@<>]+@[^\s@<>]+$",
        max_length=254,
        description="The address that mail comes from.",
        examples=["cams@example.org"],
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        yield from _both(self.user, "user", self.password_file, "password_file")
        if self.security == "none" and self.host not in ("localhost", "127.0.0.1", "::1"):
            yield "security", "none sends passwords and pictures in the clear: for a server here alone"


_STORE_HOST = re.compile(r"((?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)[a-z0-9-]{1,63}(?<!-)\.?")
"""What Amazon's library takes."""


def _store_url(value: str) -> str:
    parts = urlsplit(_without_spaces(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be https:// and a host")
    if parts.username or parts.password:
        raise ValueError("must not carry credentials: use access_key and secret_file")
    is_name = ":" not in parts.hostname
    if is_name and (len(parts.hostname) > 255 or not _STORE_HOST.fullmatch(parts.hostname)):
        raise ValueError("the host's name must be of letters, digits, dots and hyphens, without _")
    try:
        _ = parts.port
    except ValueError as exc:
        raise ValueError("the port must be a number from 0 to 65535") from exc
    return value.rstrip("/")


class UploadSettings(Section):
    """An S3 store that takes what cameras record, where `record.upload` of a camera says so."""

    endpoint: Annotated[str, AfterValidator(_store_url)] | None = Field(
        default=None,
        description="Where portal, cameras and browsers reach it; by http only on a network of your own. "
        "Default: Amazon's, of the region.",
        examples=["https://s3.example.org"],
    )
    region: str = Field(
        default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="As the store's operator names it."
    )
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="It has to be there already.",
        examples=["recordings"],
    )
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}){0,3})?$",
        description="Folder in the bucket, of this fleet alone: names with / between. Default: none.",
        examples=["pinhole"],
    )
    path_style: bool = Field(
        default=False,
        description="The bucket stands in the path, and not before the host's name: for a store without "
        "a wildcard name.",
    )
    access_key: str | None = Field(
        default=None,
        pattern=r"^[!-~]{1,128}$",
        description="The key's id. Default: as Amazon's tools find one: in AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, in ~/.aws, or by the machine's role.",
        examples=["AKIAIOSFODNN7EXAMPLE"],
    )
    secret_file: ConfigPath | None = Field(
        default=None, description="File that holds the key's secret.", examples=["upload-secret"]
    )
    url_life_s: int = Field(
        default=3600,
        ge=60,
        le=86_400,
        description="How long a camera may send by a URL; it gets others when these end.",
    )
    mb_a_day: int = Field(
        default=20_000,
        ge=1,
        le=10_000_000,
        description="One camera may send no more between two midnights (UTC); the rest waits.",
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        yield from _both(self.access_key, "access_key", self.secret_file, "secret_file")


class PortalSettings(Section):
    """The web server: dashboard, sign-in, signaling gateway."""

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; 0.0.0.0 and :: for every interface."
    )
    port: Port = Field(default=8080, description="Port to listen on; 0 takes any free one.")
    public_url: Annotated[str, AfterValidator(_public_url)] | None = Field(
        default=None,
        description="Where browsers reach it, for the links that it makes. Default: host and port.",
        examples=["https://cams.example.org"],
    )
    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=["127.0.0.1", "::1"],
        max_length=32,
        description="Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        default="sqlite:///portal.db",
        validate_default=True,
        description="Where accounts are kept: sqlite:///FILE or postgresql://USER@HOST/NAME.",
    )
    database_password_file: ConfigPath | None = Field(
        default=None, description="File that holds PostgreSQL's password.", examples=["database-password"]
    )
    audit_file: ConfigPath = Field(
        default=Path("portal-audit.jsonl"),
        validate_default=True,
        description="Who watched what and when, as JSON lines; ten files of 10 MiB at most.",
    )
    state_dir: ConfigPath = Field(
        default=Path("portal-state"),
        validate_default=True,
        description="Folder of the keys that sign offers and certificates and encrypt secrets; "
        "portals of one fleet share it.",
    )
    broker_url: BrokerUrl | None = Field(
        default=None,
        description="Where cameras reach the broker, as enrolment tells them. Default: broker.url.",
        examples=["mqtts://broker.example.org:8883"],
    )
    broker_has_public_certificate: bool = Field(
        default=False,
        description="Cameras prove the broker by their system's authorities, not by the portal's own.",
    )
    crl_file: ConfigPath | None = Field(
        default=None,
        description="Where the broker reads which certificates were revoked.",
        examples=["/etc/mosquitto/pinhole/crl.pem"],
    )
    crl_command: list[str] = Field(
        default=[],
        max_length=32,
        description="Has the broker read it; run after each revocation.",
        examples=[["systemctl", "reload", "mosquitto"]],
    )
    cert_file: ConfigPath | None = Field(
        default=None,
        description="Certificate chain (PEM) for https; needs key_file.",
        examples=["portal.pem"],
    )
    key_file: ConfigPath | None = Field(
        default=None, description="The certificate's private key (PEM).", examples=["portal-key.pem"]
    )
    metrics_token_file: ConfigPath | None = Field(
        default=None,
        description="File that holds the token with which Prometheus may ask for /metrics from elsewhere. "
        "Default: from this machine alone.",
        examples=["metrics-token"],
    )
    ice_servers: list[IceServerSettings] = Field(
        default=[], max_length=8, description="Fixed STUN and TURN servers, given to both ends."
    )
    turn: TurnSettings | None = Field(
        default=None, description="TURN servers that take expiring credentials."
    )

    require_code_for: Literal["nobody", "admin", "operator", "everyone"] = Field(
        default="nobody",
        description="Who must have a passkey or an authenticator: who has this role, or a stronger one, "
        "for any camera. Without one they can sign in to set it up, and do nothing else.",
    )
    oidc: OidcSettings | None = Field(default=None, description="Sign-in with company accounts.")
    notify: NotifySettings = Field(default_factory=NotifySettings)
    mail: MailSettings | None = Field(default=None, description="Notifications by mail.")
    upload: UploadSettings | None = Field(default=None, description="Recordings in an S3 store.")

    def _rules(self) -> Iterator[tuple[str, str]]:
        yield from _both(self.cert_file, "cert_file", self.key_file, "key_file")
        if self.oidc and self.public_url is None:
            yield "public_url", "is needed for portal.oidc: the provider sends browsers back there"


def _gnss_source(value: str) -> str:
    if value not in ("off", "gpsd") and not value.startswith("/dev/"):
        raise ValueError("must be off, gpsd, or the receiver's port: /dev/…")
    return value


class GnssSettings(Section):
    """Where the device is, by a satellite receiver or a modem's. Share links never show it."""

    settable = frozenset({"publish_decimals"})
    source: Annotated[str, AfterValidator(_gnss_source)] = Field(
        default="off",
        description="off, gpsd, or the receiver's port, which is left to gpsd where that reads it.",
        examples=["/dev/pinhole-gnss"],
    )
    baud: int | None = Field(
        default=None,
        ge=1200,
        le=921_600,
        description="The port's rate, in bits a second. Default: it is found out.",
        examples=[9600],
    )
    publish_decimals: int | None = Field(
        title="Decimals of the place",
        default=None,
        ge=0,
        le=6,
        description="Tell the portal the place, in degrees rounded to so many decimals: 2 is about 1 km, "
        "4 about 10 m. Default: it stays on the device.",
        examples=[3],
    )

    @property
    def port(self) -> str:
        """Empty where there is none to open."""
        return self.source if self.source.startswith("/dev/") else ""


class MotionSettings(Section):
    """Notices what moves. The camera then runs all the time; nothing is encoded for it."""

    settable = frozenset(
        {"enabled", "sensitivity", "min_size_percent", "quiet_s", "merge_gap_s", "min_score"}
    )
    enabled: bool = Field(title="Motion detection", default=False, description="Without, nothing of it runs.")
    sensitivity: int = Field(
        title="Sensitivity",
        default=50,
        ge=0,
        le=100,
        description="0 sees only what differs strongly from what it hides, 100 all that noise does not "
        "drown. What the dashboard's tuner sets comes before this and the next.",
    )
    min_size_percent: float = Field(
        title="Smallest size",
        default=0.3,
        ge=0,
        le=50,
        description="Smaller things are no motion; in percent of the picture.",
    )
    quiet_s: float = Field(
        title="Over after",
        default=5.0,
        ge=1,
        le=300,
        description="Motion is over once nothing has moved for so long.",
    )
    merge_gap_s: float = Field(
        title="Same event within",
        default=10.0,
        ge=0,
        le=3600,
        description="What moves again within so long is the same event.",
    )
    network: ConfigPath | None = Field(
        default=None,
        examples=["/var/lib/pinhole/efficientdet.tflite"],
        description="Says whether a person, a vehicle or an animal moves: a .rpk for the sensor of an AI "
        "Camera (IMX500), or a .tflite for the CPU, see agent/motion. Default: nothing is labelled.",
    )
    classes: ConfigPath | None = Field(
        default=None,
        examples=["/var/lib/pinhole/classes.txt"],
        description="What a .tflite knows, a name a line, in its order. A .rpk brings its own.",
    )
    min_score: float = Field(
        title="Least score of a label",
        default=0.55,
        ge=0.05,
        le=1,
        description="What the network is less sure of is left out.",
    )

    def _rules(self) -> Iterator[tuple[str, str]]:
        if self.network is None:
            return
        if self.network.suffix not in (".rpk", ".tflite"):
            yield "network", "must be a .rpk or a .tflite"
        elif self.network.suffix == ".tflite" and self.classes is None:
            yield "classes", "is needed for a .tflite"


class LogSettings(Section):
    """What is written to standard error."""

    settable = frozenset({"level"})
    level: Literal["debug", "info", "warning", "error"] = Field(
        title="Level", default="info", description="Least severity shown."
    )


class Settings(Section):
    """The whole of `pinhole.toml`."""

    device: DeviceSettings = Field(default_factory=DeviceSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    camera: CameraSettings = Field(default_factory=CameraSettings)
    webrtc: WebrtcSettings = Field(default_factory=WebrtcSettings)
    data_plan: DataPlanSettings = Field(default_factory=DataPlanSettings)
    stills: StillsSettings = Field(default_factory=StillsSettings)
    record: RecordSettings = Field(default_factory=RecordSettings)
    ptz: PtzSettings = Field(default_factory=PtzSettings)
    modem: ModemSettings = Field(default_factory=ModemSettings)
    sms: SmsSettings = Field(default_factory=SmsSettings)
    portal: PortalSettings = Field(default_factory=PortalSettings)
    gnss: GnssSettings = Field(default_factory=GnssSettings)
    motion: MotionSettings = Field(default_factory=MotionSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @property
    def recordings_folder(self) -> Path:
        """Where recordings, exports and stills by the clock go."""
        return self.record.folder or self.device.state_dir / "recordings"

    def _rules(self) -> Iterator[tuple[str, str]]:
        if self.sms.enabled and self.modem.backend == "none":
            yield "sms.enabled", "needs modem.backend, modemmanager or at: by it messages are read"
        if self.motion.network and self.motion.network.suffix == ".rpk":
            yield from self._sensor_faults()
        yield from self._port_faults()

    def _sensor_faults(self) -> Iterator[tuple[str, str]]:
        if self.camera.source.partition(":")[0] not in ("auto", "picamera"):
            yield "motion.network", f"a .rpk is for the sensor of a picamera, not for {self.camera.source}"
        if self.camera.rotate:  # whether the sensor turns what it shows its network is not told
            yield "motion.network", "a .rpk is for a camera that is not turned by camera.rotate"

    def _port_faults(self) -> Iterator[tuple[str, str]]:
        owners: dict[str, str] = {}
        modem = self.modem.port if self.modem.backend == "at" else ""
        ports = {"ptz.port": self.ptz.port, "modem.port": modem, "gnss.source": self.gnss.port}
        for key, port in ports.items():
            if port and port in owners:
                yield key, f"is {owners[port]} too: a port has one owner"
            elif port:
                owners[port] = key


def section_of(annotation: Any) -> type[Section] | None:
    """The Section type in `Section`, `Section | None` or `list[Section]`, or None."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Section) else None
    if get_origin(annotation) in (Union, UnionType, list):
        return next((found for arg in get_args(annotation) if (found := section_of(arg))), None)
    return None

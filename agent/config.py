"""`pinhole.toml` as typed settings. Every fault is reported at once: key, value, rule."""

import os
import socket
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agent.errors import ConfigError
from agent.model.signal import IceUrl, Id

Port = Annotated[int, Field(ge=0, le=65535)]


def _broker_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("mqtt", "mqtts", "ws", "wss") or not parts.hostname:
        raise ValueError("must be mqtt://, mqtts://, ws:// or wss://, then host and optional port")
    if parts.username or parts.password:
        raise ValueError("must not carry credentials: use username and password_file")
    return value


def _camera_source(value: str) -> str:
    kind, _, argument = value.partition(":")
    takes_argument = {"auto": False, "picamera": None, "v4l2": True, "replay": True, "synthetic": False}
    if kind not in takes_argument:
        raise ValueError("must be auto, picamera, picamera:N, v4l2:DEVICE, replay:FILE or synthetic")
    needed = takes_argument[kind]
    if needed is not None and needed != bool(argument):
        raise ValueError(f"{kind} needs an argument, as in {kind}:…" if needed else f"{kind} takes no argument")
    return value


BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
CameraSource = Annotated[str, AfterValidator(_camera_source)]
TopicPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=64)]


class Section(BaseModel):
    """Unknown keys are faults: a typing error must not pass for a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceSettings(Section):
    """Who this camera is."""

    id: Id = Field(
        default_factory=lambda: _default_device_id(),
        description="Unique in the fleet; letters, digits, - and _. Default: the host name.",
        examples=["front-door"],
    )
    name: str = Field("", max_length=80, description="What people read on the dashboard. Default: the id.")

    @property
    def display_name(self) -> str:
        """What people read."""
        return self.name or self.id


class BrokerSettings(Section):
    """How to reach the MQTT broker; for the agent and the portal alike."""

    url: BrokerUrl = Field(
        "mqtt://127.0.0.1:1883",
        description="mqtt:// or mqtts:// (TLS), ws:// or wss:// (MQTT over websockets); host, port, path.",
    )
    version: Literal["5", "3.1.1"] = Field("5", description="MQTT protocol version.")
    topic_prefix: TopicPrefix = Field("pinhole", description="First levels of every topic.")
    username: str | None = Field(None, max_length=256, description="User name, where the broker asks for one.")
    password_file: Path | None = Field(None, description="File that holds the password, and nothing else.")
    ca_file: Path | None = Field(
        None, description="CA certificates (PEM) to trust instead of the system's; for mqtts and wss."
    )
    cert_file: Path | None = Field(None, description="Client certificate (PEM); needs key_file.")
    key_file: Path | None = Field(None, description="The client certificate's private key (PEM).")
    keepalive_s: int = Field(30, ge=5, le=1200, description="MQTT keepalive in seconds.")
    session_expiry_s: int = Field(
        3600, ge=0, le=86400, description="How long the broker keeps our session while we are away."
    )
    connect_timeout_s: float = Field(
        20, gt=0, le=120, description="TCP, TLS and MQTT handshake in seconds; LTE needs more than a LAN."
    )
    reconnect_max_s: float = Field(
        120, ge=1, le=3600, description="The longest pause between two attempts; pauses are random below it."
    )


class CameraSettings(Section):
    """Which camera, and what it delivers."""

    source: CameraSource = Field(
        "auto",
        description="auto, picamera, picamera:N, v4l2:/dev/video0, replay:FILE (MP4 or H.264) or synthetic. "
        "auto takes a Pi camera, else a USB camera, else the test picture.",
    )
    width_px: int | None = Field(
        None, ge=64, le=1920, multiple_of=2, description="Picture width. Default: what the board can encode."
    )
    height_px: int | None = Field(None, ge=64, le=1920, multiple_of=2, description="Picture height.")
    fps: float | None = Field(None, ge=1, le=60, description="Frames a second. Default: the board's, 25 or 30.")
    bitrate_bps: int = Field(
        2_000_000, ge=100_000, le=25_000_000, description="Encoder bit rate in bits a second."
    )
    keyframe_interval_s: float = Field(
        10, ge=0.5, le=60, description="Longest time between two IDR pictures; viewers ask for more themselves."
    )
    linger_s: float = Field(
        10, ge=0, le=3600, description="How long the camera runs on after the last viewer has left."
    )
    rotate: Literal[0, 180] = Field(0, description="Turn the picture: 0 or 180 degrees (picamera only).")


class WebrtcSettings(Section):
    """The streams to the viewers."""

    max_viewers: int = Field(8, ge=1, le=64, description="More viewers than this get a clear refusal.")
    exclude_interfaces: list[str] = Field(
        default=["docker*", "br-*", "veth*", "virbr*", "tailscale*", "wg*"],
        description="Interfaces (shell patterns) whose addresses are not offered to viewers.",
    )
    connect_timeout_s: float = Field(
        20, gt=1, le=120, description="A viewer that is not connected by then is given up."
    )


class IceServerSettings(Section):
    """One fixed STUN or TURN server."""

    urls: list[IceUrl] = Field(
        min_length=1, max_length=8, description="stun:, stuns:, turn: or turns: URLs.",
        examples=[["stun:stun.example.org:3478"]],
    )
    username: str | None = Field(None, description="For turn and turns.")
    credential_file: Path | None = Field(None, description="File that holds the TURN password.")


class TurnSettings(Section):
    """coturn with `use-auth-secret`: credentials that expire, for both ends of each session."""

    urls: list[IceUrl] = Field(
        min_length=1, max_length=8, description="turn: and turns: URLs of the same server or servers.",
        examples=[["turn:turn.example.org:3478?transport=udp", "turns:turn.example.org:5349?transport=tcp"]],
    )
    secret_file: Path = Field(
        description="File that holds coturn's static-auth-secret.", examples=["/etc/pinhole/turn-secret"]
    )
    ttl_s: int = Field(3600, ge=60, le=86400, description="How long a credential lives, in seconds.")


class PortalSettings(Section):
    """The web server: dashboard, sign-in, signaling gateway."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 and :: for every interface.")
    port: Port = Field(8080, description="Port to listen on; 0 takes any free one.")
    password_file: Path = Field(
        Path("portal-password"), description="The shared password; made at first start where there is none."
    )
    cert_file: Path | None = Field(None, description="Certificate chain (PEM) for https; needs key_file.")
    key_file: Path | None = Field(None, description="The certificate's private key (PEM).")
    ice_servers: list[IceServerSettings] = Field(
        default=[], max_length=8, description="Fixed STUN and TURN servers, given to both ends."
    )
    turn: TurnSettings | None = Field(None, description="TURN servers that take expiring credentials.")


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity shown.")


class Settings(Section):
    """The whole of `pinhole.toml`."""

    device: DeviceSettings = Field(default_factory=DeviceSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    camera: CameraSettings = Field(default_factory=CameraSettings)
    webrtc: WebrtcSettings = Field(default_factory=WebrtcSettings)
    portal: PortalSettings = Field(default_factory=PortalSettings)
    log: LogSettings = Field(default_factory=LogSettings)

"""`pinhole.toml` as typed settings. Every fault is reported at once: key, value, rule."""

from agent.config.file import load, read_password, read_secret
from agent.config.settings import (
    BrokerSettings,
    CameraSettings,
    DeviceSettings,
    GnssSettings,
    IceServerSettings,
    ImageSettings,
    LogSettings,
    ModemRecoverySettings,
    ModemSettings,
    OidcSettings,
    PortalSettings,
    PtzSettings,
    Settings,
    SmsSettings,
    TurnSettings,
    WebrtcSettings,
    parse_source,
)
from agent.config.written import read_sheet

__all__ = [
    "BrokerSettings",
    "CameraSettings",
    "DeviceSettings",
    "GnssSettings",
    "IceServerSettings",
    "ImageSettings",
    "LogSettings",
    "ModemRecoverySettings",
    "ModemSettings",
    "OidcSettings",
    "PortalSettings",
    "PtzSettings",
    "Settings",
    "SmsSettings",
    "TurnSettings",
    "WebrtcSettings",
    "load",
    "parse_source",
    "read_password",
    "read_secret",
    "read_sheet",
]

"""A plug that cuts a device's power, by HTTP in the same network."""

import json
import urllib.request
from typing import Protocol
from urllib.parse import quote, urlsplit

TIMEOUT_S = 5.0


class PlugError(Exception):
    """The plug did not do as it was told."""


class Plug(Protocol):
    """Switches one outlet."""

    def switch(self, *, on: bool) -> None:
        """Raises PlugError where it stays as it was."""


class Tasmota:
    """`cm?cmnd=Power On` (tasmota.github.io/docs/Commands); several outlets count from 1."""

    def __init__(self, host: str, outlet: str = "") -> None:
        self._host, self._name = host, f"Power{outlet}"

    def switch(self, *, on: bool) -> None:
        """The answer names the new state."""
        wanted = "ON" if on else "OFF"
        said = _get(f"http://{self._host}/cm?cmnd={quote(f'{self._name} {wanted}')}")
        states = [value for key, value in said.items() if key.upper().startswith("POWER")]
        if states != [wanted]:
            raise PlugError(f"the plug at {self._host} says {said} to {wanted}")


class Shelly:
    """RPC of the second generation (shelly-api-docs.shelly.cloud/gen2): Switch.Set, then Switch.GetStatus."""

    def __init__(self, host: str, outlet: str = "0") -> None:
        self._url, self._outlet = f"http://{host}/rpc", outlet or "0"

    def switch(self, *, on: bool) -> None:
        """Asks again whether it is so."""
        _get(f"{self._url}/Switch.Set?id={self._outlet}&on={'true' if on else 'false'}")
        if (said := _get(f"{self._url}/Switch.GetStatus?id={self._outlet}")).get("output") is not on:
            raise PlugError(f"the plug says {said}")


def open_plug(url: str) -> Plug:
    """`tasmota://host[/outlet]` or `shelly://host[/outlet]`."""
    parts = urlsplit(url)
    kinds = {"tasmota": Tasmota, "shelly": Shelly}
    if parts.scheme not in kinds or not parts.netloc:
        raise PlugError(f"{url}: tasmota://HOST or shelly://HOST, and /OUTLET where there are several")
    return kinds[parts.scheme](parts.netloc, parts.path.strip("/"))


def _get(url: str) -> dict[str, object]:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            said = json.loads(answer.read(64 * 1024))
    except (OSError, ValueError) as exc:
        raise PlugError(f"{url}: {exc}") from exc
    if not isinstance(said, dict):
        raise PlugError(f"{url}: {said!r} is no answer of such a plug")
    return said

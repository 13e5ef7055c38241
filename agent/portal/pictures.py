"""What the portal shows of cameras beside their streams: the newest still, and the pictures of events."""

from functools import partial
from pathlib import Path

from agent.model.sections import Sections
from agent.portal.commands import ask_and_wait
from agent.portal.event_pictures import EventPictures
from agent.portal.gateway import Gateway
from agent.portal.stills import Stills


class Pictures:
    """Both, by way of the commands of a gateway."""

    def __init__(self, state_dir: Path, gateway: Gateway) -> None:
        self._directory = gateway.directory
        ask = partial(ask_and_wait, gateway.commands)
        self.stills = Stills(state_dir / "stills", ask, self._sections_of, self._masks_of)
        self.of_events = EventPictures(ask, lambda device: bool(self._directory.is_online(device)))

    async def close(self) -> None:
        """Wait for no camera any more."""
        await self.stills.close()
        await self.of_events.close()

    def _sections_of(self, device: str) -> Sections | None:
        return self._directory.get(device).sections if self._directory.is_online(device) else None

    def _masks_of(self, device: str) -> int | None:
        if self._directory.is_online(device) is None:
            return None
        return int(self._directory.get(device).sections.get("masks", {}).get("version", 0))

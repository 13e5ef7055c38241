"""Pictures of cameras for those who may watch them: the newest still, and those of events."""

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from agent.model.signal import UnixTime
from agent.portal.accounts.access import Identity
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Need, add
from agent.portal.guard import refusal
from agent.portal.pictures import Pictures

TAKEN_AT, IS_ASKED = "Pinhole-Taken-At", "Pinhole-Newer-Is-Asked"
"""Unix time; and `1` where the camera makes another one now, so that it is worth to ask again in a moment."""


class _Query(BaseModel):
    """What the address asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: UnixTime = 0.0
    """When the one was taken that the browser has."""


class PictureRoutes:
    """The handlers."""

    def __init__(self, accounts: Accounts, pictures: Pictures) -> None:
        self._accounts = accounts
        self._stills, self._of_events = pictures.stills, pictures.of_events

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for path, need, serve in (
            ("/api/devices/{device}/still", Need.USER, self.still),
            ("/api/share/devices/{device}/still", Need.LINK, self.still),
            ("/api/devices/{device}/events/{event}/picture", Need.USER, self.of_event),
        ):
            add(app, self._accounts, "GET", path, need, serve)

    async def still(self, request: web.Request, who: Identity) -> web.Response:
        """The newest still, or 204 where there is none that the browser has not; a newer one is asked for."""
        device = request.match_info["device"]
        query = _Query.model_validate(dict(request.query))
        if not who.access.may(device, "watch"):
            return _nothing()
        kept = await self._stills.find(device)
        is_asked = self._stills.want_newer(device, kept.taken_at if kept else 0.0, who)
        headers = {IS_ASKED: str(int(is_asked))}
        if kept is None or round(kept.taken_at, 3) <= round(query.after, 3):
            response = web.Response(status=204)
        else:
            response = web.Response(body=kept.jpeg, content_type="image/jpeg")
            headers[TAKEN_AT] = f"{kept.taken_at:.3f}"
        response.headers.update(headers)
        return response

    async def of_event(self, request: web.Request, who: Identity) -> web.Response:
        """The picture of an event; 404 where there is none, or the camera that has it is away."""
        device, event = request.match_info["device"], request.match_info["event"]
        found = await self._of_events.find(device, event, who) if who.access.may(device, "watch") else None
        return web.Response(body=found, content_type="image/jpeg") if found else _nothing()


def _nothing() -> web.Response:
    return refusal(404, "no-picture", "There is no picture.")

"""A portal at home on localhost, and Chromium's own virtual authenticator, which holds real keys."""

from contextlib import asynccontextmanager

from parts.dashboard import open_page
from parts.mosquitto import free_ports


@asynccontextmanager
async def open_page_with_passkeys(*, require_code_for="nobody", **context):
    """As `open_page`, with passkeys: also yields the authenticator."""
    port = free_ports("http")["http"]
    home = {"port": port, "public_url": f"http://localhost:{port}", "require_code_for": require_code_for}
    async with open_page(settings=home, **context) as (part, page):
        yield part, page, await VirtualAuthenticator.plug_in(page)


class VirtualAuthenticator:
    """A phone that verifies its user. What it does at once here, people do by hand."""

    def __init__(self, cdp, number):
        self._cdp = cdp
        self._number = number

    @classmethod
    async def plug_in(cls, page):
        cdp = await page.context.new_cdp_session(page)
        await cdp.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": False,
        }
        made = await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return cls(cdp, made["authenticatorId"])

    async def touched(self, is_touched=True):
        """Whether somebody touches it whenever it asks."""
        await self._send("setAutomaticPresenceSimulation", enabled=is_touched)

    async def recognises(self, is_verified):
        """Whether it knows the finger."""
        await self._send("setUserVerified", isUserVerified=is_verified)

    async def credentials(self):
        """The passkeys that it holds."""
        return (await self._send("getCredentials"))["credentials"]

    async def _send(self, order, **arguments):
        return await self._cdp.send(f"WebAuthn.{order}", {"authenticatorId": self._number} | arguments)

"""What administrators do: users, grants and groups."""

from dataclasses import asdict
from typing import Literal

from aiohttp import web
from pydantic import Field
from sqlalchemy.orm import Session

from agent.portal.accounts import passkeys, users
from agent.portal.accounts.access import Identity, Role
from agent.portal.accounts.service import Accounts
from agent.portal.api.route import Body, Need, add, read, visitor
from agent.portal.tables import NAME_CHARS


class GrantBody(Body):
    """A role for one camera or one group."""

    role: Role
    camera: str | None = None
    group: str | None = None


class NewUser(Body):
    """Somebody who shall sign in."""

    name: str = Field(min_length=1, max_length=NAME_CHARS)
    role: Role | None = None


class UserChange(Body):
    """What shall be different; what is not named stays."""

    role: Role | Literal["none"] | None = None
    disabled: bool | None = None
    grant: GrantBody | None = None
    revoke: GrantBody | None = None


class LinkWish(Body):
    """A link for a new password."""

    remove_code: bool = False


class GroupBody(Body):
    """The cameras of a group."""

    cameras: list[str] = Field(max_length=users.MAX_CAMERAS)


class Admin:
    """The handlers."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def add_to(self, app: web.Application) -> None:
        """Add every route of this file."""
        for method, path, serve in (
            ("GET", "/api/users", self.list_users),
            ("POST", "/api/users", self.add_user),
            ("POST", "/api/users/{name}", self.change_user),
            ("POST", "/api/users/{name}/link", self.make_link),
            ("POST", "/api/users/{name}/passkeys/remove", self.remove_passkeys),
            ("POST", "/api/users/{name}/remove", self.remove_user),
            ("GET", "/api/groups", self.list_groups),
            ("POST", "/api/groups/{name}", self.put_group),
            ("POST", "/api/groups/{name}/remove", self.remove_group),
        ):
            need = Need.ADMIN if method == "GET" else Need.CONFIRMED_ADMIN
            add(app, self._accounts, method, path, need, serve)

    async def list_users(self, _request: web.Request, _who: Identity) -> web.Response:
        found = await self._accounts.store.run(users.views)
        return web.json_response({"users": [asdict(user) for user in found]})

    async def add_user(self, request: web.Request, who: Identity) -> web.Response:
        new = await read(request, NewUser)
        now = self._accounts.now()

        def work(db: Session) -> dict[str, str]:
            user = users.add(db, new.name, new.role, now)
            return {"name": user.name, "link": users.new_link(db, user, now)}

        made = await self._accounts.store.run(work)
        self._note(request, who, "user-added", f"{made['name']} {new.role or ''}")
        return web.json_response(made)

    async def change_user(self, request: web.Request, who: Identity) -> web.Response:
        name = request.match_info["name"]
        change = await read(request, UserChange)

        def work(db: Session) -> None:
            user = users.find(db, name)
            if change.role is not None:
                users.set_role(db, user, None if change.role == "none" else change.role)
            if change.disabled is not None:
                users.set_disabled(db, user, change.disabled)
            if change.grant is not None:
                grant = change.grant
                users.grant(db, user, grant.role, camera=grant.camera, group=grant.group)
            if change.revoke is not None:
                users.revoke(db, user, camera=change.revoke.camera, group=change.revoke.group)

        await self._accounts.store.run(work)
        self._note(request, who, "user-changed", f"{name}: {_words(change)}")
        return web.json_response({})

    async def make_link(self, request: web.Request, who: Identity) -> web.Response:
        name = request.match_info["name"]
        wish = await read(request, LinkWish)

        def work(db: Session) -> str:
            user = users.find(db, name)
            if wish.remove_code:
                users.remove_code(db, user)
            return users.new_link(db, user, self._accounts.now())

        link = await self._accounts.store.run(work)
        self._note(request, who, "link-made", f"{name}{', without code' if wish.remove_code else ''}")
        return web.json_response({"link": link})

    async def remove_passkeys(self, request: web.Request, who: Identity) -> web.Response:
        name = request.match_info["name"]
        await self._accounts.store.run(lambda db: passkeys.remove_all(db, users.find(db, name)))
        self._note(request, who, "user-changed", f"{name}: passkeys removed")
        return web.json_response({})

    async def remove_user(self, request: web.Request, who: Identity) -> web.Response:
        name = request.match_info["name"]
        await self._accounts.store.run(lambda db: users.remove(db, users.find(db, name)))
        self._note(request, who, "user-removed", name)
        return web.json_response({})

    async def list_groups(self, _request: web.Request, _who: Identity) -> web.Response:
        return web.json_response({"groups": await self._accounts.store.run(users.groups)})

    async def put_group(self, request: web.Request, who: Identity) -> web.Response:
        name = request.match_info["name"]
        cameras = (await read(request, GroupBody)).cameras
        await self._accounts.store.run(lambda db: users.put_group(db, name, cameras))
        self._note(request, who, "group-set", f"{name}: {', '.join(cameras)}")
        return web.json_response({})

    async def remove_group(self, request: web.Request, who: Identity) -> web.Response:
        name = request.match_info["name"]
        await self._accounts.store.run(lambda db: users.remove_group(db, name))
        self._note(request, who, "group-removed", name)
        return web.json_response({})

    def _note(self, request: web.Request, who: Identity, action: str, detail: str) -> None:
        self._accounts.audit.add(who.name, action, address=visitor(request).address, detail=detail)


def _words(change: UserChange) -> str:
    """A change as people read it in the audit log."""
    words = []
    if change.role is not None:
        words.append(f"role {change.role}")
    if change.disabled is not None:
        words.append("shut out" if change.disabled else "let in again")
    for verb, grant in (("granted", change.grant), ("took away", change.revoke)):
        if grant is not None:
            words.append(f"{verb} {grant.role} of {grant.camera or f'group {grant.group}'}")
    return ", ".join(words)

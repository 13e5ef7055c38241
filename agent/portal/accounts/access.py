"""What somebody may do with which camera; pure values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["viewer", "operator", "admin"]
Permission = Literal["watch", "control", "recordings", "manage"]
CodeRule = Literal["nobody", "admin", "operator", "everyone"]
"""Who must have a second factor: a role, for any camera, means the stronger ones too."""

PERMISSIONS: dict[Role, tuple[Permission, ...]] = {
    "viewer": ("watch",),
    "operator": ("watch", "control", "recordings"),
    "admin": ("watch", "control", "recordings", "manage"),
}
"""Weakest first: each role may do what those before it may."""
ROLES: tuple[Role, ...] = tuple(PERMISSIONS)


def parse_role(text: str | None) -> Role | None:
    """A role by its name; None for anything else."""
    return next((role for role in ROLES if role == text), None)


def stronger(one: Role | None, other: Role | None) -> Role | None:
    """The stronger of two roles; None is weaker than any."""
    return max((one, other), key=lambda role: -1 if role is None else ROLES.index(role))


@dataclass(frozen=True, slots=True)
class Access:
    """One user's grants, with groups resolved into cameras."""

    everywhere: Role | None = None
    cameras: Mapping[str, Role] = field(default_factory=dict)

    def role(self, device: str) -> Role | None:
        """The role for one camera; None where it must not even be listed."""
        return stronger(self.everywhere, self.cameras.get(device))

    def permissions(self, device: str) -> tuple[Permission, ...]:
        """What a signed offer for this camera carries."""
        role = self.role(device)
        return PERMISSIONS[role] if role else ()

    def may(self, device: str, permission: Permission) -> bool:
        """Whether one act is allowed with one camera."""
        return permission in self.permissions(device)

    @property
    def sees_any(self) -> bool:
        """Whether there may be a camera to watch."""
        return self.everywhere is not None or bool(self.cameras)

    @property
    def strongest(self) -> Role | None:
        """The strongest role for any camera."""
        return max(
            (self.everywhere, *self.cameras.values()), key=lambda role: ROLES.index(role) if role else -1
        )

    def must_have_factor(self, rule: CodeRule) -> bool:
        """Whether a password alone is too little for whoever may do this."""
        if rule in ("nobody", "everyone"):
            return rule == "everyone"
        return self.strongest is not None and ROLES.index(self.strongest) >= ROLES.index(rule)

    @property
    def is_admin(self) -> bool:
        """Whether this is an administrator of the portal: of every camera and every account."""
        return self.everywhere == "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whose session is good: a user, or whoever opened a share link."""

    session: str
    """The session's key in the store; not the cookie."""
    name: str
    """A user's name, or `link:` and a share link's label; no user name holds a colon."""
    access: Access
    expires_at: float
    """Unix time in seconds."""
    user_id: int | None = None
    share_id: int | None = None
    seen_at: float = field(default=0.0, compare=False)
    """Unix time in seconds, up to five minutes late."""
    confirmed_at: float = field(default=0.0, compare=False)
    """When the user last showed who they are."""
    needs_factor: bool = False
    """Signed in with less than the role asks for: may set up a second factor and do nothing else."""

"""What an Ansible role writes, without Ansible: its templates with its defaults."""

from pathlib import Path

import jinja2
import yaml
from jinja2.nativetypes import NativeEnvironment

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"


def defaults(role: str) -> dict[str, object]:
    """The role's variables."""
    return dict(yaml.safe_load((ROLES / role / "defaults/main.yml").read_text()))


def render(role: str, template: str, **variables: object) -> str:
    """One template of the role, as Ansible renders it (`trim_blocks`, and no name may be missing)."""
    from ansible.plugins.filter.core import combine, to_json  # which takes half a second

    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters |= {"combine": combine, "to_json": to_json}
    source = (ROLES / role / "templates" / template).read_text()
    return environment.from_string(source).render(defaults(role) | variables)


def following(role: str, **variables: object) -> dict[str, object]:
    """What the role's `vars` make of its variables."""
    known = defaults(role) | variables
    for name, text in yaml.safe_load((ROLES / role / "vars/main.yml").read_text()).items():
        known[name] = NativeEnvironment(undefined=jinja2.StrictUndefined).from_string(text).render(known)
    return known


def tasks(role: str, name: str = "main.yml") -> list[dict[str, object]]:
    """Of one of its files."""
    return list(yaml.safe_load((ROLES / role / "tasks" / name).read_text()))

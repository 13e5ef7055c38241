"""What an Ansible role writes, without Ansible: its templates with its defaults."""

from pathlib import Path

import jinja2
import yaml

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"


def defaults(role: str) -> dict[str, object]:
    """The role's variables."""
    return dict(yaml.safe_load((ROLES / role / "defaults/main.yml").read_text()))


def render(role: str, template: str, **variables: object) -> str:
    """One template of the role, as Ansible renders it (`trim_blocks`, and no name may be missing)."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    source = (ROLES / role / "templates" / template).read_text()
    return environment.from_string(source).render(defaults(role) | variables)

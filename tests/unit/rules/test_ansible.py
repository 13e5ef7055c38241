"""Each role's variables: defaults, specification and README say the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import Settings

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.name for path in (ROOT / "ansible" / "roles").iterdir())


def read(role, file):
    return (ROOT / "ansible" / "roles" / role / file).read_text()


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_its_roles_prefix(role):
    assert all(name.startswith(f"{role}_") for name in yaml.safe_load(read(role, "defaults/main.yml")))


@pytest.mark.parametrize("role", ROLES)
def test_the_specification_is_of_the_defaults(role):
    defaults = yaml.safe_load(read(role, "defaults/main.yml"))
    options = yaml.safe_load(read(role, "meta/argument_specs.yml"))["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_lists_each_variable_as_it_is_specified(role):
    options = yaml.safe_load(read(role, "meta/argument_specs.yml"))["argument_specs"]["main"]["options"]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.+) \|$", read(role, "README.md"), re.MULTILINE))
    assert rows == {name: option["description"] for name, option in options.items()}


@pytest.mark.parametrize("role", ROLES)
def test_what_belongs_into_the_vault_is_never_logged(role):
    options = yaml.safe_load(read(role, "meta/argument_specs.yml"))["argument_specs"]["main"]["options"]
    for name, option in options.items():
        if "vault" in option["description"]:
            assert option["no_log"], name


def test_the_examples_give_every_secret_and_no_variable_that_is_unknown():
    examples = [
        yaml.safe_load((ROOT / "ansible/inventory/group_vars/all" / name).read_text())
        for name in ("vars.yml", "vault.yml.example")
    ]
    options = {
        name: option
        for role in ROLES
        for name, option in yaml.safe_load(read(role, "meta/argument_specs.yml"))["argument_specs"]["main"][
            "options"
        ].items()
    }
    secret = {name for name, option in options.items() if "vault" in option["description"]}
    given = set().union(*examples)
    assert secret <= given
    assert {name for name in given if name.split("_")[0] in ROLES} <= set(options)
    assert not secret & {name for name, value in examples[0].items() if "{{" not in str(value)}
    for host in _example_hosts().values():
        assert {name for name in host if name.split("_")[0] in ROLES} <= set(options)


def test_what_the_example_has_the_agent_told_is_settings():
    told = [host["agent_settings"] for host in _example_hosts().values() if "agent_settings" in host]
    assert told
    for settings in told:
        Settings.model_validate(settings)


def _example_hosts() -> dict[str, dict[str, Any]]:
    inventory = yaml.safe_load((ROOT / "ansible/inventory/hosts.yml").read_text())
    return inventory["all"]["children"]["devices"]["hosts"]


@pytest.mark.parametrize(("lock", "extras"), [("device.lock", ()), ("portal.lock", ("portal", "postgresql"))])
def test_the_machines_locks_hold_what_the_project_needs(lock, extras):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    text = (ROOT / "ansible" / lock).read_text()
    for line in needed:
        name = re.match(r"[A-Za-z0-9-]+", line).group()
        assert re.search(rf"^{name}==", text, re.MULTILINE), f"{lock} lacks {name}: run scripts/lock"

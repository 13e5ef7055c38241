"""The fleet as the portal knows it, as an inventory."""

DOCUMENTATION = """
name: pinhole_portal
short_description: devices from a portal of Pinhole
description:
  - Asks a portal for its devices with C(pinhole fleet --json).
  - Groups are C(devices), C(online), C(offline), and C(release_X_Y_Z) for who runs what.
options:
  plugin:
    description: Must be C(pinhole_portal).
    required: true
    choices: [pinhole_portal]
  portal:
    description: URL of the portal.
    required: true
    env: [{name: PINHOLE_PORTAL}]
  user:
    description: Who signs in.
    required: true
    env: [{name: PINHOLE_USER}]
  password_file:
    description: File with that user's password.
    required: true
    env: [{name: PINHOLE_PASSWORD_FILE}]
  address:
    description: Where a device is reached; C({id}) stands for its id. The portal knows no addresses.
    default: "{id}"
  command:
    description: How to call C(pinhole).
    type: list
    elements: str
    default: [pinhole]
"""

import json
import subprocess
from typing import Any

from ansible.errors import AnsibleParserError

from ansible.plugins.inventory import BaseInventoryPlugin

TIMEOUT_S = 60


class InventoryModule(BaseInventoryPlugin):
    """See DOCUMENTATION."""

    NAME = "pinhole_portal"

    def verify_file(self, path: str) -> bool:
        """Files of other plugins are none of ours."""
        return bool(super().verify_file(path)) and path.endswith(("portal.yml", "portal.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Ask the portal and fill the inventory."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        for device in self._ask():
            for group in groups_of(device):
                inventory.add_group(group)
                inventory.add_host(device["id"], group=group)
            inventory.set_variable(
                device["id"], "ansible_host", self.get_option("address").format(id=device["id"])
            )
            inventory.set_variable(device["id"], "agent_device_id", device["id"])
            inventory.set_variable(
                device["id"], "agent_name", device["name"] if device["name"] != device["id"] else ""
            )

    def _ask(self) -> list[dict[str, Any]]:
        argv = [*self.get_option("command"), "fleet", "--json"]
        for option in ("portal", "user", "password_file"):
            argv += [f"--{option.replace('_', '-')}", str(self.get_option(option))]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise AnsibleParserError(f"{argv[0]}: {exc}") from exc
        if done.returncode:
            raise AnsibleParserError(done.stderr.strip() or f"{argv[0]} failed")
        return list(json.loads(done.stdout)["devices"])


def groups_of(device: dict[str, Any]) -> list[str]:
    """A group's name may have letters, digits and underscores."""
    version = "".join(letter if letter.isalnum() else "_" for letter in device["version"]) or "unknown"
    return ["devices", "online" if device["online"] else "offline", f"release_{version}"]

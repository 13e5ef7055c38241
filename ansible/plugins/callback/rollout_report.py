"""Say at the end who runs which release, and why one was rolled back; as a table, and as JSON in a file."""

DOCUMENTATION = """
name: rollout_report
type: aggregate
short_description: who runs which release of Pinhole after a roll-out
description:
  - Prints a line for each host that a play was for, also for those that were not reached or not begun.
  - Writes the same as JSON where PINHOLE_ROLLOUT_REPORT names a file.
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Knows the hosts of each play from its start, and the rest from the statistics."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "rollout_report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._hosts: dict[str, None] = {}
        self._words: dict[str, str] = {}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play with `serial` starts once a batch; its variable manager knows the whole pattern."""
        inventory = play.get_variable_manager()._inventory  # noqa: SLF001 - the only way from a play to its hosts
        for host in inventory.get_hosts(play.hosts, ignore_restrictions=True):
            self._hosts[host.get_name()] = None

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The reason for the report."""
        self._words[result._host.get_name()] = str(result._result.get("msg", "unreachable"))  # noqa: SLF001

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The last failure is the one that counts: earlier ones may have been rescued."""
        if not ignore_errors:
            self._words[result._host.get_name()] = str(result._result.get("msg", "failed"))  # noqa: SLF001

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end."""
        report = {host: self._line(host, stats) for host in self._hosts}
        told = {host: line for host, line in report.items() if line["result"] != "no release"}
        if told:
            self._display.banner("RELEASES")
        for host, line in told.items():
            color = {"good": "green", "not begun": "yellow"}.get(line["result"], "red")
            words = f"{host:24} {line['release'] or '-':12} {line['result']:12} {line['reason']}"
            self._display.display(words.rstrip(), color=color)
        if path := os.environ.get("PINHOLE_ROLLOUT_REPORT"):
            Path(path).write_text(json.dumps(report, indent=1))

    def _line(self, host: str, stats: Any) -> dict[str, str]:
        release = stats.custom.get(host, {}).get("pinhole_release", {})
        returns = release.get("given_back") or [{}]
        if host in stats.dark:
            result, reason = "unreachable", self._words.get(host, "")
        elif host in stats.failures:
            result, reason = "failed", self._words.get(host, "")
            if returns[0].get("version") and returns[0]["version"] != release.get("current"):
                result, reason = "given back", f"{returns[0]['version']}: {returns[0]['reason']}"
        elif host not in stats.processed:
            result, reason = "not begun", ""
        else:
            result, reason = ("good" if release else "no release"), ""
        return {"release": release.get("current") or "", "result": result, "reason": reason.strip()}

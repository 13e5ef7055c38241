"""Whether a release on trial is well."""

import json
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

from release.machine import Paths, Settings, show
from release.state import State, save_state

MAX_RESTARTS = 4
"""A unit that was started again this often is not waited for any longer."""
SETTLE_S = 5.0
"""How long a release must stay healthy before it is believed."""
POLL_S = 0.5


def watch(paths: Paths, settings: Settings, state: State) -> str:
    """Wait until the release on trial has proven itself; else why it has not."""
    assert state.trial
    deadline = time.monotonic() + settings.gate_s
    healthy_since: float | None = None
    reason = "it did not start"
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        if (paths.run / "refused").exists():
            return (paths.run / "refused").read_text()[:400] or "refused from outside"
        reason, hopeless = examine(settings, state.trial["version"])
        if hopeless:
            return reason
        if reason:
            healthy_since = None
            continue
        healthy_since = healthy_since or time.monotonic()
        if time.monotonic() - healthy_since < SETTLE_S:
            continue
        if not state.trial["needs_confirmation"] or (paths.run / "confirmed").exists():
            return ""
        if state.trial["stage"] != "healthy":
            state.trial["stage"] = "healthy"
            save_state(paths, state)
        reason = "healthy here, but nobody confirmed that its pictures arrive"
    return f"{reason} within {settings.gate_s:.0f} s"


def examine(settings: Settings, version: str) -> tuple[str, bool]:
    """What is not well yet, and whether waiting is in vain."""
    shown = show(settings.unit, "ActiveState", "MainPID", "NRestarts", "Result", "StatusText")
    restarts = int(shown.get("NRestarts") or 0)
    if shown["ActiveState"] == "failed" or restarts >= MAX_RESTARTS:
        return f"it ended {restarts + 1} times ({shown['Result']}): {last_words(settings.unit)}", True
    if shown["ActiveState"] != "active":
        return f"the unit is {shown['ActiveState']}, not active", False
    if settings.health_url:
        return ask_health(settings.health_url, version), False
    try:
        status = json.loads(Path(settings.status_file).read_text())
    except (OSError, ValueError):
        return "the agent has not said how it is", False
    if str(status.get("pid")) != shown["MainPID"] or status.get("version") != version:
        return "the agent of this release has not said how it is", False
    words = f" ({shown['StatusText']})" if shown.get("StatusText") else ""
    if not status.get("broker"):
        return f"it did not reach the broker{words}", False
    if not status.get("frames"):
        return f"{status.get('lacks') or 'it did not capture a picture'}{words}", False
    return "", False


def ask_health(url: str, version: str) -> str:
    try:
        # The portal of this machine: its certificate is for the name that browsers use.
        context = ssl._create_unverified_context()  # noqa: SLF001
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            body = json.loads(answer.read(4096))
    except (OSError, ValueError) as exc:
        return f"{url} does not answer well: {exc}"
    return "" if body.get("version") == version else f"{url} answers for release {body.get('version')}"


def last_words(unit: str) -> str:
    done = subprocess.run(
        ["journalctl", "-u", unit, "-n", "8", "-o", "cat", "--no-pager", "_TRANSPORT=stdout"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"

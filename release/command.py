"""`pinhole-release`, the command."""

import argparse
import contextlib
import json
import sys
from typing import Any

from release.build import install
from release.delivery import pull, receive
from release.machine import Paths, ReleaseError, close_folders, load_settings, lock
from release.manifest import verify
from release.outcome import boot_check, settle
from release.state import describe
from release.trial import activate, adopt, confirm, rollback, run_trial

DESCRIPTION = "Install, try, keep and roll back releases of Pinhole on this machine."
WHOLE_MACHINE = Paths()


def main(arguments: list[str] | None = None, paths: Paths = WHOLE_MACHINE) -> int:
    parser = argparse.ArgumentParser(prog="pinhole-release", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, words: str, *operands: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=words, description=words)
        for operand in operands:
            sub.add_argument(operand)
        return sub

    add("status", "print what runs here, what is good and what was rolled back, as JSON")
    add("receive", "take a tar of manifest.json, manifest.json.sig and files; print what is lacking, as JSON")
    add("install", "verify the release that was received, and build it")
    add("adopt", "make the first release the one in use, without a trial: where an image is made")
    sub = add("activate", "switch to a release, and back if it is not healthy in time", "version")
    sub.add_argument("--needs-confirmation", action="store_true", help="return once it is healthy here")
    add("confirm", "its pictures were seen from outside: keep it", "version")
    add("refuse", "its pictures were not seen: roll it back", "version", "reason")
    add("rollback", "return to the good release before this one")
    add("pull", "fetch, verify, build and try the newest release")
    add("trial", "(the trial's service)")
    add("settle", "(after it) end a trial that was killed, and clear up")
    add("boot-check", "(before the unit starts)")
    args = parser.parse_args(arguments)
    try:
        return run_command(args, paths)
    except ReleaseError as exc:
        print(f"pinhole-release: {exc}", file=sys.stderr)
        return 1


def run_command(args: argparse.Namespace, paths: Paths) -> int:  # noqa: PLR0912 - one case a command
    settings = load_settings(paths)
    close_folders(paths)
    changed: Any = None
    match args.command:
        case "status":
            with contextlib.suppress(ReleaseError), lock(paths):
                settle(paths, settings)
            print(json.dumps(describe(paths)))
        case "receive":
            print(json.dumps({"missing": receive(paths, settings, sys.stdin.buffer)}))
        case "install":
            with lock(paths):
                settle(paths, settings)
                changed = install(paths, settings, verify(paths, settings))
        case "adopt":
            with lock(paths):
                changed = adopt(paths)
        case "activate":
            changed = activate(paths, settings, args.version, needs_confirmation=args.needs_confirmation)
        case "confirm":
            changed = confirm(paths, settings, args.version)
        case "refuse":
            changed = confirm(paths, settings, args.version, refusal=args.reason)
        case "rollback":
            changed = rollback(paths, settings)
        case "pull":
            changed = pull(paths, settings)
        case "trial":
            return 0 if run_trial(paths, settings) else 1
        case "settle":
            with lock(paths, wait_s=30):
                settle(paths, settings)
        case "boot-check":
            boot_check(paths)
    if changed is not None:
        print(json.dumps({"changed": bool(changed)} | describe(paths)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

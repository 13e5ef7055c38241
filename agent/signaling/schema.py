"""JSON Schemas (2020-12) of every message, made from the types.

`python -m agent.signaling.schema tests/data/schema` writes them anew.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent.model.command import COMMANDS, arguments_schema, result_schema
from agent.signaling.messages import MESSAGE_TYPES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


COMMANDS_FILE = "commands.json"


def schemas() -> dict[str, dict[str, Any]]:
    """One schema a message type, by the `type` on the wire."""
    made = {}
    for message in MESSAGE_TYPES:
        schema = TypeAdapter(message).json_schema()
        # In Python these two have defaults; on the wire they are what is looked at first.
        schema["required"] = ["v", "type", *schema["required"]]
        made[str(schema["properties"]["type"]["const"])] = {"$schema": DIALECT, **schema}
    return made


def commands() -> dict[str, Any]:
    """The table of commands: what each takes and gives, and who may."""
    return {
        kind.name: {
            "permission": kind.permission,
            "ways": list(kind.ways),
            "arguments": {"$schema": DIALECT, **arguments_schema(kind)},
            "result": {"$schema": DIALECT, **result_schema(kind)},
        }
        for kind in COMMANDS.values()
    }


def write(folder: Path) -> None:
    """Write `<type>.json` for each message."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(text(schema), encoding="utf-8")
    (folder / COMMANDS_FILE).write_text(text(commands()), encoding="utf-8")


def text(schema: dict[str, Any]) -> str:
    """A schema as the file holds it."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))

"""What a run found: figures, curves, and what it could not check; as JSON, and as a page with plots."""

import html
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 180, 56


@dataclass(slots=True)
class Results:
    """Filled by the tests."""

    device: str = ""
    begun: str = ""
    inventory: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    """Test to passed, failed or skipped."""
    figures: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Name with unit to (seconds, value)."""
    unchecked: dict[str, str] = field(default_factory=dict)
    """Test to the hardware that it needs."""
    way: Callable[[], str] = str
    """Over which interface the device reaches its portal now."""

    def figure(self, name: str, value: float | str | None, unit: str = "") -> None:
        """One measured value, and over which interface it was had."""
        self.figures.append({"name": name, "value": value, "unit": unit, "way": self.way()})

    def point(self, curve: str, at_s: float, value: float | None) -> None:
        """One point of a curve; what could not be measured leaves a gap."""
        if value is not None:
            self.curves.setdefault(curve, []).append((round(at_s, 1), value))

    def as_json(self) -> dict[str, Any]:
        """What is kept of it."""
        names = ("device", "begun", "inventory", "outcomes", "figures", "curves", "unchecked")
        return {name: getattr(self, name) for name in names}

    def write(self, folder: Path) -> None:
        """results.json and index.html."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(self.as_json(), indent=2) + "\n")
        (folder / "index.html").write_text(page(self))


def page(results: Results) -> str:
    """One file, without scripts and without anything from elsewhere."""
    title = f"Hardware tests of {results.device}"
    counts = {
        state: list(results.outcomes.values()).count(state) for state in ("passed", "failed", "skipped")
    }
    parts = [
        f"<h1>{_text(title)}</h1><p>{_text(results.begun)}: "
        + ", ".join(f"{count} {state}" for state, count in counts.items())
        + "</p>",
        _table("Device", ((name, _words(value)) for name, value in results.inventory.items())),
        _table(
            "Figures",
            (
                (each["name"], f"{_words(each['value'])} {each['unit']}", f"over {_words(each['way'])}")
                for each in results.figures
            ),
        ),
        *(plot(name, points) for name, points in results.curves.items()),
        _table("Not checked: needs", results.unchecked.items()),
        _table("Tests", results.outcomes.items()),
    ]
    style = (
        "body{font:15px/1.5 system-ui;margin:2rem auto;max-width:760px;padding:0 1rem}"
        ":root{color-scheme:light dark}"
        "td{padding:.1rem 1rem .1rem 0;vertical-align:top}svg{width:100%}"
        "polyline{fill:none;stroke:currentColor;stroke-width:1.5}text{font-size:11px;fill:currentColor}"
        "line{stroke:currentColor;opacity:.25}"
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{_text(title)}</title>"
    return f"<!doctype html><html lang=en>{head}<style>{style}</style>{''.join(parts)}</html>\n"


def plot(name: str, points: list[tuple[float, float]]) -> str:
    """A curve over time as SVG: x in seconds or hours, y from 0 or the lowest value below."""
    hours = points[-1][0] > 3 * 3600
    low, high = min(0.0, *(y for _, y in points)), max(0.0, *(y for _, y in points))
    high = max(high, low + 1e-9)
    start, end = points[0][0], max(points[-1][0], points[0][0] + 1)

    def place(x: float, y: float) -> str:
        across = MARGIN + (x - start) / (end - start) * (WIDTH - MARGIN - 8)
        return f"{across:.1f},{HEIGHT - 20 - (y - low) / (high - low) * (HEIGHT - 36):.1f}"

    line = " ".join(place(x, y) for x, y in points)
    axis = "".join(
        f'<line x1="{MARGIN}" x2="{WIDTH}" y1="{at.split(",")[1]}" y2="{at.split(",")[1]}"/>'
        f'<text x="0" y="{float(at.split(",")[1]) + 4:.1f}">{_number(value)}</text>'
        for value in (low, (low + high) / 2, high)
        for at in [place(start, value)]
    )
    last = f"{(end - start) / 3600:.1f} h" if hours else f"{end - start:.0f} s"
    return (
        f"<h2>{_text(name)}</h2><svg viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{_text(name)}'>"
        f"{axis}"
        f'<polyline points="{line}"/><text x="{MARGIN}" y="{HEIGHT - 4}">0</text>'
        f'<text x="{WIDTH - 50}" y="{HEIGHT - 4}">{last}</text></svg>'
    )


def _table(title: str, rows: Any) -> str:
    cells = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h2>{_text(title)}</h2><table>{cells}</table>" if cells else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        return _number(value)
    return "not known" if value in (None, "") else str(value)


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)

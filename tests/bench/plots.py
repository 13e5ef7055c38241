"""Pictures of runs: capacity, target and what arrives over time, and the delay of each picture."""

from pathlib import Path

import matplotlib as mpl
from bench.figures import Recording, arrived_bits

mpl.use("Agg")

from matplotlib import pyplot as plt

BIN_S = 0.5
_COLORS = ["#2a78d6", "#1baf7a", "#eda100", "#4a3aa7"]


def plot(recordings: list[Recording], path: Path) -> None:
    """One row a sender; the senders of a scenario share their axes."""
    scenario = recordings[0].scenario
    figure, rows = plt.subplots(
        2 * len(recordings), 1, figsize=(11, 3.9 * len(recordings)), sharex=True, squeeze=False,
        gridspec_kw={"height_ratios": [3, 2] * len(recordings)},
    )  # fmt: skip
    times = [i * BIN_S for i in range(int(scenario.seconds / BIN_S))]
    capacity = [scenario.capacity_bits(at, at + BIN_S) / BIN_S / 1e6 for at in times]
    top = 1.15 * min(max(capacity), 8.0)
    for number, recording in enumerate(recordings):
        rates, delays = rows[2 * number][0], rows[2 * number + 1][0]
        rates.fill_between(times, capacity, step="post", color="#e1e0d9", label="capacity")
        targets = [(at, bps / 1e6) for at, bps in recording.targets if 0 <= at <= scenario.seconds]
        if targets:
            rates.step(
                *zip(*targets, strict=True),
                where="post",
                color="#898781",
                linewidth=1,
                label="encoder target",
            )
        if recording.upload:
            beside = [0.0] * len(times)
            for at, size in recording.upload:
                if 0 <= at < scenario.seconds:
                    beside[min(len(times) - 1, int(at / BIN_S))] += size * 8 / BIN_S / 1e6
            rates.step(times, beside, where="post", color="#c44e52", linewidth=1, label="upload beside")
        for index, viewing in enumerate(recording.viewings):
            color = _COLORS[index % len(_COLORS)]
            arrived = [arrived_bits(viewing, at, at + BIN_S) / BIN_S / 1e6 for at in times]
            name = "received" if len(recording.viewings) == 1 else f"received, viewer {index + 1}"
            rates.step(times, arrived, where="post", color=color, linewidth=1.6, label=name)
            shown = [(at, ms) for at, ms in viewing.frames if ms is not None and 0 <= at <= scenario.seconds]
            if shown:
                delays.plot(*zip(*shown, strict=True), ".", markersize=1.8, color=color)
        rates.set_title(f"{recording.sender}: {scenario.what}", loc="left", fontsize=10)
        rates.set_ylabel("Mb/s")
        rates.set_ylim(0, top)
        rates.legend(loc="upper right", fontsize=8, ncols=4, frameon=False)
        delays.set_ylabel("delay, ms")
        delays.set_ylim(0, 600)
        for axes in (rates, delays):
            axes.grid(color="#e1e0d9", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    rows[-1][0].set_xlabel("seconds since the first picture")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)

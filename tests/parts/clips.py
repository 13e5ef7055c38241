"""Pictures of walks and weather, made by rule and by seed, with what is in them known.

A scene is drawn at `SCALE` pixels a cell and averaged, as the camera's scaler does. Luma is 0 to 255.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agent.model.motion import Luma

COLUMNS, ROWS, SCALE, RATE = 32, 18, 4, 5.0
WIDTH, HEIGHT = COLUMNS * SCALE, ROWS * SCALE
_X, _Y = np.meshgrid((np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT)
"""Of each pixel, as shares of the picture."""

Image = np.ndarray


def _smooth(rng: np.random.Generator, grain: int) -> Image:
    """A texture whose patches are about `grain` pixels wide, of mean 0 and deviation 1."""
    coarse = rng.normal(size=(HEIGHT // grain + 3, WIDTH // grain + 3))
    rows, columns = np.arange(HEIGHT) / grain, np.arange(WIDTH) / grain
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None], (columns - c)[None, :]
    a, b = coarse[r][:, c], coarse[r][:, c + 1]
    d, e = coarse[r + 1][:, c], coarse[r + 1][:, c + 1]
    made = (a * (1 - fc) + b * fc) * (1 - fr) + (d * (1 - fc) + e * fc) * fr
    return (made - made.mean()) / made.std()


def yard(rng: np.random.Generator, level: float = 110.0) -> Image:
    """Ground, a wall, a sky."""
    sky = np.where(_Y < 0.25, 60.0, 0.0)
    return np.clip(level + sky + 18 * _smooth(rng, 12) + 8 * _smooth(rng, 4), 10, 245)


class Scene:
    """What stays; things and weather draw on copies of it."""

    def __init__(self, seed: int, level: float = 110.0, noise: float = 4.0) -> None:
        """`noise`: deviation of a pixel of 1280x720; a pixel here holds many."""
        self.rng = np.random.default_rng(seed)
        self.ground = yard(self.rng, level)
        self.noise = noise / math.sqrt((1280 / WIDTH) * (720 / HEIGHT))
        self._layers = []

    def add(self, layer) -> "Scene":
        """`layer(picture, seconds)` changes the picture."""
        self._layers.append(layer)
        return self

    def picture(self, at_s: float) -> Image:
        """Of this moment, with its noise."""
        picture = self.ground.copy()
        for layer in self._layers:
            changed = layer(picture, at_s)
            picture = picture if changed is None else changed
        return picture + self.rng.normal(scale=self.noise, size=picture.shape)

    def play(self, seconds: float, begin_s: float = 0.0) -> Iterator[Luma]:
        """So many seconds, five samples each."""
        for index in range(round(seconds * RATE)):
            at_s = begin_s + index / RATE
            picture = self.picture(at_s)
            cells = np.clip(picture, 0, 255).reshape(ROWS, SCALE, COLUMNS, SCALE).mean(axis=(1, 3))
            yield Luma(np.rint(cells).astype(np.uint8).tobytes(), COLUMNS, ROWS, round(at_s * 1e6))


@dataclass(frozen=True)
class Walk:
    """Somebody who crosses a part of the picture; all places and lengths in shares of it."""

    begin_s: float
    seconds: float
    x: float
    y: float
    """Where the feet begin."""
    dx: float
    dy: float
    height: float
    contrast: float
    """How much brighter or darker than what is behind, in levels of luma."""

    @property
    def end_s(self) -> float:
        return self.begin_s + self.seconds

    def __call__(self, picture: Image, at_s: float) -> Image | None:
        share = (at_s - self.begin_s) / self.seconds
        if not 0 <= share <= 1:
            return None
        feet_x, feet_y = self.x + self.dx * share, self.y + self.dy * share
        bob = 0.01 * math.sin(2 * math.pi * 1.8 * at_s) * self.height
        width = self.height * 0.3 * HEIGHT / WIDTH * (1 + 0.3 * math.sin(2 * math.pi * 1.8 * at_s))
        body = ((_X - feet_x) / (width / 2)) ** 2 + (
            (_Y - (feet_y - self.height / 2 + bob)) / (self.height / 2)
        ) ** 2
        cover = np.clip((1.15 - body) / 0.3, 0, 1)
        own = self._own(picture)
        return picture * (1 - cover) + own * cover

    def _own(self, picture: Image) -> float:
        """Clothes of one brightness: as much off what lies around where the walk began."""
        row = int(min(max(self.y - self.height / 2, 0), 0.99) * HEIGHT)
        column = int(min(max(self.x + self.dx / 2, 0), 0.99) * WIDTH)
        around = picture[max(0, row - 6) : row + 7, max(0, column - 12) : column + 13]
        return float(np.clip(around.mean() + self.contrast, 5, 250))


def random_walk(rng: np.random.Generator, contrast: float, begin_s: float) -> Walk:
    """Over a fifth of the width, one way or the other, near or far, slow or quick."""
    way = rng.choice([-1, 1])
    x = rng.uniform(0.15, 0.65)
    return Walk(
        begin_s,
        seconds=float(rng.uniform(1.2, 6.0)),
        x=float(x if way > 0 else x + 0.2),
        y=float(rng.uniform(0.55, 0.95)),
        dx=float(0.2 * way),
        dy=float(rng.uniform(-0.05, 0.05)),
        height=float(rng.uniform(0.18, 0.5)),
        contrast=float(contrast * rng.choice([-1, 1])),
    )


class Wind:
    """Trees whose crowns sway and whose leaves turn, in gusts."""

    def __init__(self, seed: int, trees: int = 3, strength: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self._trees = [
            (
                rng.uniform(0.05, 0.95), rng.uniform(0.15, 0.55), rng.uniform(0.04, 0.14),
                rng.uniform(0.1, 0.3),
                rng.uniform(0.25, 0.9), rng.uniform(0, 6.28), rng.uniform(0.01, 0.03),
                40 + 25 * _smooth(rng, 3), rng.uniform(0, 100),
            )
            for _ in range(trees)
        ]  # fmt: skip
        self._strength = strength
        self._leaves = np.random.default_rng(seed + 1)

    def __call__(self, picture: Image, at_s: float) -> Image:
        for x, y, wide, high, hertz, phase, sway, bark, shift in self._trees:
            gust = self._gust(at_s + shift)
            dx = sway * gust * math.sin(2 * math.pi * hertz * at_s + phase)
            dx += 0.4 * sway * gust * math.sin(2 * math.pi * 2.3 * hertz * at_s)
            body = ((_X - x - dx * (1.2 - _Y)) / wide) ** 2 + ((_Y - y) / high) ** 2
            cover = np.clip((1.1 - body) / 0.3, 0, 1)
            moved = np.roll(bark, round(dx * WIDTH), axis=1)
            leaves = 14 * gust * self._leaves.normal(size=picture.shape)
            picture = picture * (1 - cover) + np.clip(moved + leaves, 5, 200) * cover
        return picture

    def _gust(self, at_s: float) -> float:
        """0 to 1.5: calm for half a minute, then a gust, and a long swell over minutes."""
        gust = 0.55 + 0.45 * math.sin(at_s / 7.3) + 0.35 * math.sin(at_s / 2.9 + 1)
        return self._strength * max(0.05, gust) * (0.6 + 0.4 * math.sin(at_s / 97))


class Rain:
    """Streaks everywhere, and now and then a drop close to the lens."""

    def __init__(self, seed: int, streaks: int = 120, drops: float = 2.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._streaks, self._drops = streaks, drops

    def __call__(self, picture: Image, _at_s: float) -> Image:
        rng, picture = self._rng, picture.copy()
        rows, columns = rng.integers(0, HEIGHT - 4, self._streaks), rng.integers(0, WIDTH, self._streaks)
        for length in range(4):
            picture[rows + length, columns] += 22
        for _ in range(rng.poisson(self._drops)):
            x, y, size = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.01, 0.05)
            picture += 60 * (np.abs(_X - x) < size / 3) * (np.abs(_Y - y) < 2 * size)
        return picture


class Lightning:
    """Flashes at these moments, each of some flickers within half a second."""

    def __init__(self, moments: list[float]) -> None:
        self._moments = moments

    def __call__(self, picture: Image, at_s: float) -> Image | None:
        for moment in self._moments:
            since = at_s - moment
            if 0 <= since < 0.6:
                sky = 1.0 + 0.6 * (_Y < 0.4)
                return picture + 110 * sky * abs(math.cos(since * 9))
        return None


class Switch:
    """From day to infrared at a moment: another picture of the same place."""

    def __init__(self, seed: int, at_s: float) -> None:
        rng = np.random.default_rng(seed)
        self._night, self._at_s = (
            70 + 25 * _smooth(rng, 10) + 50 * np.exp(-((_X - 0.5) ** 2 + (_Y - 0.5) ** 2) * 6),
            at_s,
        )

    def __call__(self, picture: Image, at_s: float) -> Image | None:
        since = at_s - self._at_s
        if since < 0:
            return None
        return 0.25 * picture + self._night * (1 + 0.5 * math.exp(-since / 0.5))


class Clouds:
    """Light that comes and goes, over some seconds, with shadows that cross the yard."""

    def __init__(self, seed: int) -> None:
        self._phase = np.random.default_rng(seed).uniform(0, 6.28)

    def __call__(self, picture: Image, at_s: float) -> Image:
        edge = _X + 0.3 * _Y - 0.05 * at_s + self._phase
        return picture * (0.8 + 0.2 * np.tanh(3 * np.sin(edge * 2.2)))


class Headlights:
    """A car turns somewhere behind the camera: its light sweeps over the yard."""

    def __init__(self, begin_s: float, seconds: float = 2.5, way: int = 1, strength: float = 1.4) -> None:
        self._begin_s, self._seconds, self._way, self._strength = begin_s, seconds, way, strength

    def __call__(self, picture: Image, at_s: float) -> Image | None:
        share = (at_s - self._begin_s) / self._seconds
        if not 0 <= share <= 1:
            return None
        x = share * 1.6 - 0.3 if self._way > 0 else 1.3 - share * 1.6
        beam = np.exp(-(((_X - x) / 0.16) ** 2) - ((_Y - 0.6) / 0.25) ** 2)
        return picture * (1 + self._strength * beam)

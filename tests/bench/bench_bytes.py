"""Bytes to the terminal of one image step over 64×32 cells: ours beside an ordinary widget.

    python tests/bench/bench_bytes.py

Each app draws through Textual's compositor to a driver that counts. "smooth" is an image
as a model makes it, "noise" the worst there is: every pixel another colour.
"""

import asyncio
import os
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from rich_pixels import Pixels
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.widget import Widget
from textual.widgets import Static

from genui.ui.widgets.image import ImageView

BUDGET = 25_000
os.environ["COLORTERM"] = "truecolor"  # what costs the most bytes


class CountingDriver(HeadlessDriver):
    """Takes every write, as a terminal would, and counts its bytes."""

    octets = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        self.octets += len(data.encode())


class Stage(App[None]):
    CSS = "Screen { align: center middle; } #image { width: 64; height: 32; }"

    def __init__(self, image: Widget) -> None:
        super().__init__(driver_class=CountingDriver)
        self.image = image

    def compose(self) -> ComposeResult:
        yield self.image


def smooth(size: int, step: int) -> np.ndarray:
    """A shaded ball that moves a pixel a step: uint8 [size, size, 3]."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    light = np.clip(1 - (x - 0.1 * step) ** 2 - y**2, 0, 1)
    return (light[..., None] * np.array([255, 110, 90]) + 20).clip(0, 255).astype(np.uint8)


def noise(size: int, step: int) -> np.ndarray:
    """uint8 [size, size, 3]."""
    return np.random.default_rng(step).integers(0, 256, (size, size, 3), dtype=np.uint8)


def show_ordinary(widget: Any, rgb: np.ndarray) -> None:
    """As rich-pixels is ordinarily used: half blocks in truecolour, the whole widget anew."""
    image = Image.fromarray(rgb).resize((64, 64), Image.Resampling.NEAREST)
    widget.update(Pixels.from_image(image))


async def octets_a_step(
    widget: Widget, show: Callable[[Any, np.ndarray], object], frames: list[np.ndarray]
) -> list[int]:
    """Bytes written for each of `frames` after the first."""
    app = Stage(widget)
    counted = []
    task = asyncio.create_task(app.run_async(size=(100, 40)))
    while not widget.is_mounted or not widget.size:  # the first paint is not a step
        await asyncio.sleep(0.01)
    for frame in frames:
        driver = app._driver
        assert isinstance(driver, CountingDriver)
        before = driver.octets
        show(widget, frame)
        await asyncio.sleep(0.15)
        counted.append(driver.octets - before)
    app.exit()
    await task
    return counted[1:]


def main() -> None:
    print(f"{'bytes a step, 64×32 cells':34}{'ordinary':>10}{'ours':>10}   budget {BUDGET:,}")
    for name, make, size in (
        ("smooth, 32×32 pixels", smooth, 32),
        ("noise, 32×32 pixels", noise, 32),
        ("smooth, 64×64 pixels", smooth, 64),
        ("noise, 64×64 pixels", noise, 64),
    ):
        frames = [make(size, step) for step in range(4)]
        ordinary = median(asyncio.run(octets_a_step(Static(id="image"), show_ordinary, frames)))
        ours = max(asyncio.run(octets_a_step(ImageView(id="image"), ImageView.show, frames)))
        verdict = "" if ours <= BUDGET else "  OVER"
        print(f"{name:34}{ordinary:>10,}{ours:>10,}{verdict}")
    same = [noise(32, 0)] * 3
    ours = max(asyncio.run(octets_a_step(ImageView(id="image"), ImageView.show, same)))
    print(f"{'the same frame again':34}{'':>10}{ours:>10,}")


if __name__ == "__main__":
    main()

"""Bytes to the terminal of one image step over 64×32 cells: ours beside an ordinary widget.

    python tests/bench/bench_bytes.py

Each app draws through Textual's compositor to a driver that counts. "smooth" is an image
as a model makes it, "noise" the worst there is: every pixel another colour. Then the same images
in pixels, of cells of 10×20: while they change and at rest, and milliseconds of encoding.
"""

import asyncio
import os
import time
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

from genui.ui.cells import Cells
from genui.ui.graphics import PROTOCOLS, Images, Protocol
from genui.ui.textual_parts import driver_of
from genui.ui.widgets.image import STILL_FACTOR, ImageView

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
    CSS = "Screen { align: center middle; } #image, ImageView { width: 64; height: 32; }"

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
        driver = driver_of(app)
        assert isinstance(driver, CountingDriver)
        before = driver.octets
        show(widget, frame)
        await asyncio.sleep(0.15)
        counted.append(driver.octets - before)
    app.exit()
    await task
    return counted[1:]


COLUMNS, LINES = 64, 32


def pixels_a_step(
    protocol: Protocol, in_tmux: bool, frames: list[np.ndarray], budget: int
) -> tuple[int | None, int, float]:
    """The most bytes for each of `frames` after the first, None if half-blocks take fewer; the
    most for the cells under the first; milliseconds of encoding."""
    images = Images()
    images.protocol, images.in_tmux = protocol, in_tmux
    cells = Cells(COLUMNS, LINES + 1, images)
    placement = images.place(COLUMNS, LINES)
    assert placement is not None
    lines = "".join(f"\x1b[{y + 1};1H{line}" for y, line in enumerate(placement.markers))
    first = len(cells.update(f"{lines}\x1b[1;1H").encode())
    counted, started = [], time.perf_counter()
    for frame in frames:
        encoded = images.encode(frame, COLUMNS, LINES, budget)
        if encoded is None:
            return None, first, 1000 * (time.perf_counter() - started)
        placement.update(encoded.data)
        counted.append(len(cells.paint().encode()))
    spent = 1000 * (time.perf_counter() - started) / len(frames)
    return max(counted[1:]), first, spent


def print_pixels(sizes: list[tuple[str, list[np.ndarray]]]) -> None:
    ways: list[tuple[Protocol, bool]] = [(protocol, False) for protocol in PROTOCOLS]
    ways.append(("kitty", True))
    for budget in (BUDGET, STILL_FACTOR * BUDGET):
        print(f"\nin pixels, at most {budget:,}   bytes a step (cells once), encoding")
        for name, frames in sizes:
            line = f"{name:24}"
            for protocol, in_tmux in ways:
                most, first, spent = pixels_a_step(protocol, in_tmux, frames, budget)
                label = "tmux" if in_tmux else protocol
                octets = "half-blocks" if most is None else f"{most:,}"
                line += f"  {label} {octets} ({first:,}) {spent:.0f} ms"
            print(line)


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
        ours = max(asyncio.run(octets_a_step(ImageView(), ImageView.show, frames)))
        verdict = "" if ours <= BUDGET else "  OVER"
        print(f"{name:34}{ordinary:>10,}{ours:>10,}{verdict}")
    print_pixels(
        [
            ("smooth, 32×32 pixels", [smooth(32, step) for step in range(4)]),
            ("noise, 32×32 pixels", [noise(32, step) for step in range(4)]),
            ("smooth, 64×64 pixels", [smooth(64, step) for step in range(4)]),
            ("noise, 64×64 pixels", [noise(64, step) for step in range(4)]),
            ("smooth, 192×192 pixels", [smooth(192, step) for step in range(4)]),
            ("noise, 192×192 pixels", [noise(192, step) for step in range(4)]),
        ]
    )
    same = [noise(32, 0)] * 3
    ours = max(asyncio.run(octets_a_step(ImageView(), ImageView.show, same)))
    print(f"{'the same frame again':34}{'':>10}{ours:>10,}")


if __name__ == "__main__":
    main()

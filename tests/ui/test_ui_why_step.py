"""`w` on the Training screen: a step that is computed again, by a process that is not real."""

import io
import sys
from pathlib import Path

import msgspec
import pytest
import stage
from acting import Opener, runs_with, seen, until, until_seen
from PIL import Image

from genui.runs import recomputed
from genui.runs.layout import RunDir, change_status
from genui.runs.recomputed import Example, Progress, Recomputed
from genui.ui.training.why import WhyScreen


def red_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "PNG")
    return file.getvalue()


FOUND = Recomputed(
    run="plays",
    step=1240,
    began=1200,
    replayed=40,
    seconds=1.5,
    metrics={"loss": 1.6138},
    skip="3",
    norms={
        1239: {"gradients/head": 0.5, "gradients/blocks.0": 2.0, "updates/head": 0.0},
        1240: {"gradients/head": 0.5, "gradients/blocks.0": 9.0, "updates/head": 0.0},
    },
    logged={"loss": 1.6138},
    examples=(
        Example(
            row=2,
            source="icons 17",
            place="17",
            text="blue \x1b[31mfish",
            image=red_png(),
            measures={"loss": 4.5, "sigma": 0.5},
            deviations={"loss_given_sigma": 21.0},
        ),
        Example(row=0, source="icons 3", text="red heart", measures={"loss": 1.6}),
    ),
)


def lines(tmp_path: Path, *printed: Progress | Recomputed, then: str = "") -> list[str]:
    """A command that prints these lines."""
    path = tmp_path / "recompute-lines"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, printed)) + b"\n")
    code = f"import sys, time; print(open({str(path)!r}).read(), flush=True); {then}"
    return [sys.executable, "-c", code, "recompute-lines"]


@pytest.fixture
def run() -> RunDir:
    run = stage.make_run(name="plays", step=1240, steps=4000)
    change_status(run, steps_per_s=100.0)
    return run


async def test_the_step_at_the_cursor_shows_its_examples_and_one_alone(
    run: RunDir, open_watch: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, bool]] = []

    def command(of: RunDir, step: int, weights_alone: bool = False) -> list[str]:
        asked.append((step, weights_alone))
        return lines(tmp_path, Progress(1, 40, 2.0), FOUND)

    monkeypatch.setattr(recomputed, "command_for", command)
    async with open_watch() as pilot:
        await until_seen(pilot, "╌+ val")
        await pilot.press("w")
        await until_seen(pilot, "equal to the bit")
        assert asked == [(1240, False)]
        for text in (
            "likely cause: icons 17: far harder than others at its σ",
            "genui train --from plays@1200 --keep-state --set skip=3,17",
            "red heart",
        ):
            await until_seen(pilot, text)
        screen = seen(pilot)
        assert screen.index("icons 17 ·") < screen.index("icons 3 ·")
        await pilot.press("enter")  # the example alone
        await until(pilot, lambda: "icons 3 ·" not in seen(pilot))
        await until_seen(pilot, "blue fish")
        await pilot.press("escape")
        await until_seen(pilot, "icons 3 ·")
        await pilot.press("l")  # the layers
        await until_seen(pilot, "gradients by layer, steps 1,239 to 1,240")
        await until_seen(pilot, "blocks.0 4.5 ×, head 1 ×")
        assert "icons 3 ·" not in seen(pilot)
        await pilot.press("l")
        await until_seen(pilot, "updates by layer")
        await until_seen(pilot, "Muon rests at this step")
        await pilot.press("escape")
        await until_seen(pilot, "icons 3 ·")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, WhyScreen))


async def test_a_long_computation_asks_first_and_is_cancelled(
    run: RunDir, open_watch: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_status(run, steps_per_s=1.0)
    waiting = lines(tmp_path, Progress(3, 1240, 99.0), then="time.sleep(600)")
    monkeypatch.setattr(recomputed, "command_for", lambda *_: waiting)
    async with open_watch() as pilot:
        await until_seen(pilot, "╌+ val")
        await pilot.press("w")
        await until_seen(pilot, "w measures the examples at once")
        assert not runs_with("recompute-lines")
        await pilot.press("enter")
        await until_seen(pilot, "3 of 1,240 steps")
        assert runs_with("recompute-lines")
        await pilot.press("escape")
        await until(pilot, lambda: not runs_with("recompute-lines"))

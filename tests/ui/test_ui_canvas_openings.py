"""Canvas begun from an image, as a forward process or as a grid."""

import re
from pathlib import Path

import pytest
from acting import Opener, each_size, fault, seen, until, until_seen
from canvas_acting import answered, drawn_to, edits, pane_of, shown
from textual import events

from genui.base.errors import MisuseError
from genui.protocol import Axis, Denoise, RgbImage
from genui.protocol.settings import parse_axes

# --- other beginnings -----------------------------------------------------------------


async def test_an_image_of_yours_to_begin_from(
    shipped, open_app: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.png").write_bytes(b"an image")
    async with open_app() as pilot:
        await drawn_to(pilot, "canvas.image")
        await answered(pilot, "cat.png")
        await answered(pilot, "2")
        await until(pilot, lambda: "strength '2': expected a number" in fault(pilot))
        await answered(pilot, "0.3")
        await until_seen(pilot, "6/6")
        assert "from cat.png, 0.3" in seen(pilot)
        assert isinstance(shown(pilot).request.init, RgbImage)
        await pilot.press("canvas.image")
        await answered(pilot, "noise")
        await pilot.press("enter")
        await until_seen(pilot, "20/20")
        assert shown(pilot).request.init is None


async def test_it_begins_from_a_training_image_or_adds_noise_to_it_until_a_step(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "canvas.image", "enter", "enter")
        await until_seen(pilot, "12/12")
        assert "a training image, 0.6" in seen(pilot)
        await pilot.press("3", "canvas.drown")
        await until_seen(pilot, "noisy 20/20")
        assert shown(pilot).request.forward
        frame = shown(pilot).frame
        assert frame is not None
        assert frame.sigma == pytest.approx(40)
        assert "σ 40    ━" in seen(pilot)
        assert "● noise" in seen(pilot)
        await pilot.press("canvas.noise")
        await until_seen(pilot, "this is the forward process")
        await pilot.press(*["left"] * 12, "f")
        await until_seen(pilot, "16/16")
        assert edits(pilot) == [(8, Denoise())]
        assert "● image" in seen(pilot)
        await pilot.press("canvas.drown")
        await until_seen(pilot, "predicted 20/20")
        assert not shown(pilot).request.forward


# --- grids ----------------------------------------------------------------------------


async def test_a_grid_has_its_values_along_the_edges(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "canvas.grid")
        await answered(pilot, "seed 11..14")
        await answered(pilot, "guidance 1, 2.5, 8")
        await until_seen(pilot, "20/20")
        x, y = shown(pilot).request.grid
        assert x == Axis(name="seed", values=("11", "12", "13", "14"))
        assert y == Axis(name="guidance", values=("1", "2.5", "8"))
        async for _ in each_size(pilot):
            await until_seen(pilot, "128×96 at ")
            assert "seed → · guidance ↓" in seen(pilot)
            top = next(line for line in seen(pilot).splitlines() if " 11 " in line)
            assert top.index("11") < top.index("12") < top.index("13") < top.index("14")
            assert " 2.5 " in seen(pilot)
        await pilot.resize_terminal(120, 40)  # the border has them where the edges have no room
        await pilot.press("canvas.layout", "canvas.grid")
        await answered(pilot, "seed 1..4")
        await answered(pilot, "sampler heun, dpmpp-2m")
        await until_seen(pilot, "20/20")
        await until_seen(pilot, "seed 1..4 → · sampler heun, dpmpp-2m ↓")


@pytest.mark.parametrize(
    ("along_x", "along_y", "line"),
    [
        ("sead 1..4", "", "no setting 'sead': did you mean 'seed'?"),
        ("seed", "", "seed: give its values, as in seed 1..6"),
        ("seed 1..99", "", "seed 1..99: give 1 to 16 seeds, the lowest first"),
        ("seed a, b", "", "seed 'a': expected a whole number"),
        ("guidance 1, 99", "", "guidance '99': expected a number, 0 to 20"),
        ("sampler heum", "", "sampler 'heum': no such sampler; did you mean 'heun'?"),
        ("seed 1..3", "seed 4, 5", "seed is on both axes"),
        ("seed 1..16", "guidance 1, 2, 3, 4, 5", "80 images: at most 64 are drawn at once"),
    ],
)
def test_what_a_grid_cannot_be_is_one_line(along_x: str, along_y: str, line: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(line)):
        parse_axes(along_x, along_y)


async def test_a_form_of_a_grid_filled_in_at_once_is_done_and_what_it_cannot_be_is_said(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "canvas.grid")
        await answered(pilot, "sead 1..4")
        await answered(pilot, "")
        await until(pilot, lambda: "no setting 'sead': did you mean 'seed'?" in fault(pilot))
        await pilot.press("escape")
        await pilot.press("3", "canvas.grid")
        await until_seen(pilot, "along y")
        for _ in range(2):
            pilot.app.post_message(events.Key("enter", None))
        await until(pilot, lambda: pane_of(pilot).trace is not None)
        assert len(shown(pilot).request.grid) == 2

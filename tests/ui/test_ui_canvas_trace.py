"""Canvas full-screen: three images, forks and masks."""

import numpy as np
import pytest
from acting import Opener, each_size, fault, home_of, process, seen, until, until_seen
from canvas_acting import answered, drawn_to, edits, pane_of, settings, shown, view_of

from genui.formats.image import shrink
from genui.protocol import AddNoise, SetPrompt, SetSettings
from genui.ui.generate.image import CanvasInspector
from genui.ui.widgets import image
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.image import MaskPainter
from genui.ui.windows import MaskScreen

# --- what is shown --------------------------------------------------------------------


async def test_o_goes_round_the_three_images_and_home_shows_what_was_made(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "right", "right")
        await until_seen(pilot, "predicted 2/20")
        frame = shown(pilot).frame
        assert frame is not None
        large = pane_of(pilot).query_one(".large", image.ImageView)
        for words, title in (("noisy", "xₜ noisy"), ("noise", "ε noise")):
            await pilot.press("right_square_bracket")
            await until_seen(pilot, f"{words} 2/20")
            assert title in seen(pilot)
        assert large._rgb is not None
        assert large._rgb.tobytes() == frame.noise
        await pilot.press("right_square_bracket")
        await until_seen(pilot, "predicted 2/20")
        assert large._rgb.tobytes() == frame.denoised
        await drawn_to(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: view_of(pilot).part == "noise")
        await pilot.press("escape")
        await until(pilot, lambda: not pane_of(pilot).zoomed)
        await until(pilot, lambda: view_of(pilot).part == "denoised")


async def test_back_on_home_and_after_the_lab_the_caption_fits_its_place(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot)
        await until(pilot, lambda: pane_of(pilot)._clock is None)  # nothing else is painted
        await pilot.press("enter")
        await until_seen(pilot, "Models")

        def caption() -> str:
            return next((x for x in seen(pilot).splitlines() if "“white rocket on blue”" in x), "")

        # Without room for both, the caption is whole and the name of the image is left out.
        await until(pilot, lambda: "20/20 │" in caption() and "predicted" not in caption())
        await drawn_to(pilot)
        await until_seen(pilot, "32×32 at 2×")
        await pilot.press("1")
        await until_seen(pilot, "Models")
        await pilot.press("5", "3")
        await until_seen(pilot, "32×32 at 2×")
        await until_seen(pilot, "predicted 20/20")


async def test_p_puts_three_images_side_by_side_and_the_inspector_gives_way_to_the_image(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "left", "canvas.layout")
        three = list(pane_of(pilot).query(".view ImageView").results(image.ImageView))
        async for _ in each_size(pilot):
            await until_seen(pilot, "step 19/20")
            for words in ("xₜ noisy", "x̂₀ predicted", "ε noise", "Noise schedule", "Settings"):
                assert words in seen(pilot)
            assert len({(p.size.height, p.scale_text) for p in three}) == 1
            assert all(p.has_image for p in three)
        await pilot.resize_terminal(60, 16)  # they have a small terminal to themselves
        await until_seen(pilot, "32×32 at 0.562×")
        assert "Settings" not in seen(pilot)
        await pilot.resize_terminal(200, 60)
        await pilot.press("canvas.layout")
        await until_seen(pilot, "predicted 19/20")
        # The others are small beside the large one where there is room.
        others = pane_of(pilot).query_one(CanvasInspector).query(".other ImageView")
        assert [p.scale_text for p in others.results(image.ImageView)] == ["32×32 at 1×"] * 2
        await drawn_to(pilot)
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: "Noise schedule" not in seen(pilot))
        assert view_of(pilot).query_one(".large", image.ImageView).size.width > 50
        await pilot.resize_terminal(80, 24)
        await until_seen(pilot, "Noise schedule")


async def test_the_schedule_is_the_branch_s_own(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "canvas.noise")
        await until_seen(pilot, "Add noise")
        await answered(pilot, "8")
        await until_seen(pilot, "32/32")
        curve = pane_of(pilot).query_one(Curve)
        (line,) = curve._traces
        sigmas = dict(zip(line.steps.tolist(), line.values.tolist(), strict=True))
        assert sigmas[20] == pytest.approx(sigmas[8])
        assert sigmas[19] < sigmas[20] > sigmas[21]
        assert curve.options.cursor == 32
        # The axis is that of the whole branch at every step, so that the cursor stays in it.
        await pilot.press("home", "right")
        await until(pilot, lambda: curve.options.cursor == 1)
        assert curve.options.view == (0, 32)


# --- forks ----------------------------------------------------------------------------


async def test_noise_is_added_back_to_an_earlier_step_and_denoised_again(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "canvas.noise")
        await answered(pilot, "20")
        await until(pilot, lambda: "expected a step from 0 to 19" in fault(pilot))
        await pilot.press("escape")
        await drawn_to(pilot, "canvas.noise")
        await until_seen(pilot, "a step from 0, which is pure noise, to 19")
        await pilot.press("enter")
        await until_seen(pilot, "30/30")
        assert edits(pilot) == [(20, AddNoise(to=10))]
        assert "branch 2 of 2 · new noise at step 10" in seen(pilot)


async def test_another_caption_from_a_step_on(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "left", "left")
        before = pane_of(pilot).controller.prompt
        await pilot.press("canvas.recaption")
        await until_seen(pilot, "Caption from step 18 on")
        await answered(pilot, "blue star")
        await until_seen(pilot, "“blue star”")
        await until_seen(pilot, "20/20")
        assert edits(pilot) == [(18, SetPrompt("blue star"))]
        await pilot.press("left", "left", "left")
        await until_seen(pilot, f"“{before}”")


async def test_a_setting_midway_forks_and_at_the_end_begins_again(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        pane = pane_of(pilot)
        await drawn_to(pilot, "left", "plus")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 2)
        await until_seen(pilot, "20/20")
        assert shown(pilot).forked_at == 19
        await pilot.press("plus")
        await until(pilot, lambda: len(pane.controller.tree.branches) == 3)
        assert shown(pilot).request.edits == ()
        await drawn_to(pilot, "left", "left", "canvas.negative")
        await until_seen(pilot, "Negative prompt")
        await answered(pilot, " grey ")
        await until(pilot, lambda: bool(edits(pilot)))
        [(step, edit)] = edits(pilot)
        assert step == 18
        assert isinstance(edit, SetSettings)
        assert edit.settings.negative == "grey"  # type: ignore[union-attr]
        assert settings(pilot)["negative"] == "grey"
        await until_seen(pilot, "not “grey”")


async def test_eta_is_offered_where_the_sampler_has_it_and_a_grid_has_no_mask(
    shipped,
    open_app: Opener,
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "canvas.sampler", "canvas.eta")
        await until_seen(pilot, "eta applies to DPM++ and DDIM only")
        assert "eta" not in settings(pilot)
        await pilot.press("canvas.sampler", "canvas.sampler")
        await until(pilot, lambda: settings(pilot).get("eta") == "0")
        await pilot.press("canvas.eta")
        await answered(pilot, "0.5")
        await until(pilot, lambda: pane_of(pilot).controller.settings.eta == 0.5)
        await pilot.press("3", "canvas.grid")
        await answered(pilot, "seed 1..4")
        await answered(pilot, "none")
        await until_seen(pilot, "20/20")
        await pilot.press("canvas.mask")
        await until_seen(pilot, "a mask needs a single image")


# --- the mask -------------------------------------------------------------------------


def test_a_large_image_is_shrunk_to_paint_on_it() -> None:
    large = np.zeros((512, 256, 3), np.uint8)
    large[:256] = 200
    small = shrink(large)
    assert small.shape == (32, 16, 3)
    assert small[:16].min() == 200
    assert small[16:].max() == 0
    same = np.zeros((32, 32, 3), np.uint8)
    assert shrink(same) is same


async def test_a_painted_mask_is_drawn_again_and_esc_leaves_it(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "canvas.mask", "space", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, MaskScreen))
        assert len(pane_of(pilot).controller.tree.branches) == 1
        await pilot.resize_terminal(70, 18)
        await pilot.press("canvas.mask")
        await until_seen(pilot, "painting a mask needs 42×23 cells")
        await pilot.resize_terminal(120, 40)
        await drawn_to(pilot, "canvas.mask")
        await until_seen(pilot, "0 of 1024 pixels are painted")
        await pilot.press("enter")
        await until_seen(pilot, "nothing is painted")
        await pilot.press("tilde", "enter")
        await until_seen(pilot, "everything is painted")
        await pilot.press("delete", "plus", "plus", "space", "shift+right", "J", "down")
        await until_seen(pilot, "15 of 1024 pixels are painted  brush 3")
        mask = pilot.app.screen.query_one(MaskPainter).mask
        await pilot.press("enter")
        await until_seen(pilot, "Draw the masked part again")
        await pilot.press("enter")
        await until_seen(pilot, "30/30")
        assert edits(pilot) == [(20, AddNoise(to=10, mask=mask))]
        assert (len(mask), sum(mask)) == (1024, 15)
        assert "mask, new noise at step 10" in seen(pilot)


# --- all of it ------------------------------------------------------------------------


async def test_no_key_opens_a_window_where_there_is_no_model(open_app: Opener) -> None:
    async with open_app(lists=False) as pilot:
        await pilot.press("3")
        names = "noise recaption fork image mask drown grid layout view settings sampler"
        for key in (f"canvas.{name}" for name in names.split()):
            await pilot.press(key)
            assert pilot.app.screen is home_of(pilot), key


async def test_a_fork_at_the_end_plays_on_however_late_the_worker_answers(
    shipped, open_app: Opener
) -> None:
    async with open_app(worker=process("--delay", "0.02", "--slow-load", "0.4")) as pilot:
        await drawn_to(pilot, "f")
        await until_seen(pilot, "30/30")
        assert [edit for _, edit in edits(pilot)][1] == AddNoise(to=10)
        assert {"sampler", "eta", "steps", "guidance", "seed"} <= settings(pilot).keys()

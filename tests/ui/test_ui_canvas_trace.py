"""Canvas full-screen: three pictures, forks, masks, grids and other beginnings."""

from pathlib import Path

import pytest
from acting import SLOW, Opener, fault, home_of, seen, until, until_seen
from textual import events
from textual.pilot import Pilot
from textual.widgets import Static

from genui.protocol import AddNoise, Axis, Denoise, ImageFrame, Picture, SetPrompt, SetSeed
from genui.ui.panes.canvas import CanvasPane
from genui.ui.panes.canvas_inspector import CanvasInspector
from genui.ui.screens.mask import MaskScreen
from genui.ui.trace import Trace
from genui.ui.widgets import picture as pictures
from genui.ui.widgets.curve import Curve
from genui.ui.widgets.mask import MaskPainter

SIZES = [(80, 24), (120, 40), (200, 60)]


def pane_of(pilot: Pilot[None]) -> CanvasPane:
    return home_of(pilot).query_one(CanvasPane)


def shown(pilot: Pilot[None]) -> Trace[ImageFrame]:
    trace = pane_of(pilot).trace
    assert trace is not None
    return trace


async def drawn_to(pilot: Pilot[None], *keys: str, step: str = "20/20") -> None:
    """Canvas full-screen with a finished picture, and then these keys."""
    await pilot.press("3", "end")
    await until_seen(pilot, step)
    await pilot.press(*keys)


async def answered(pilot: Pilot[None], text: str) -> None:
    """Type into the window that is open and press Enter."""
    await pilot.press("ctrl+u", "ctrl+k", *text, "enter")


def edits(pilot: Pilot[None]) -> list[tuple[int, object]]:
    return [(at.step, at.edit) for at in shown(pilot).request.edits]


# --- what is shown --------------------------------------------------------------------


async def test_o_goes_round_the_three_pictures(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "right", "right")
        await until_seen(pilot, "guess 2/20")
        frame = shown(pilot).frame
        assert frame is not None
        large = pane_of(pilot).query_one(".large", pictures.Picture)
        for words, long in (("noisy", "xₜ the noisy"), ("noise", "ε the predicted noise")):
            await pilot.press("o")
            await until_seen(pilot, f"{words} 2/20")
            assert long in seen(pilot)
        assert large._rgb is not None
        assert large._rgb.tobytes() == frame.noise
        await pilot.press("o")
        await until_seen(pilot, "guess 2/20")
        assert large._rgb.tobytes() == frame.guess


@pytest.mark.parametrize("size", SIZES)
async def test_p_puts_three_pictures_of_one_size_side_by_side(
    shipped, open_app: Opener, size: tuple[int, int]
) -> None:
    async with open_app(size=size) as pilot:
        await drawn_to(pilot, "left", "p")
        await until_seen(pilot, "step 19/20")
        for words in ("xₜ noisy", "x̂₀ guess", "ε noise", "Noise schedule", "Settings"):
            assert words in seen(pilot)
        three = list(pane_of(pilot).query(".view Picture").results(pictures.Picture))
        assert len({(p.size.height, p.scale_text) for p in three}) == 1
        assert all(p.has_picture for p in three)
        await pilot.press("p")
        await until_seen(pilot, "guess 19/20")


async def test_three_pictures_have_a_small_terminal_to_themselves(
    shipped, open_app: Opener
) -> None:
    async with open_app(size=(60, 16)) as pilot:
        await drawn_to(pilot, "p")
        await until_seen(pilot, "step 20/20")
        assert "32×32 at 1/2" in seen(pilot)
        assert "Settings" not in seen(pilot)


async def test_the_others_are_small_beside_the_large_one_where_there_is_room(
    shipped, open_app: Opener
) -> None:
    async with open_app(size=(200, 60)) as pilot:
        await drawn_to(pilot, "left")
        others = pane_of(pilot).query_one(CanvasInspector).query(".other Picture")
        assert [p.scale_text for p in others.results(pictures.Picture)] == ["32×32 at 1×"] * 2


async def test_the_schedule_is_the_branch_s_own(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "a")
        await until_seen(pilot, "Add noise")
        await answered(pilot, "8")
        await until_seen(pilot, "32/32")
        curve = pane_of(pilot).query_one(Curve)
        (line,) = curve._traces
        sigmas = dict(zip(line.steps.tolist(), line.values.tolist(), strict=True))
        assert sigmas[20] == pytest.approx(sigmas[8])
        assert sigmas[19] < sigmas[20] > sigmas[21]
        assert curve.cursor == 32


# --- forks ----------------------------------------------------------------------------


async def test_noise_is_added_back_to_a_step_and_denoised_again(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "a")
        await until_seen(pilot, "step 0 has σ 40".replace(" ", "\N{NO-BREAK SPACE}"))
        assert "step 10 has σ 1.2".replace(" ", "\N{NO-BREAK SPACE}") in seen(pilot)
        await pilot.press("enter")
        await until_seen(pilot, "30/30")
        assert edits(pilot) == [(20, AddNoise(to=10))]
        assert "branch 2 of 2 · noise back to 10" in seen(pilot)


@pytest.mark.parametrize("typed", ["20", "-1", "half", ""])
async def test_a_step_that_cannot_be_gone_back_to_is_refused_in_place(
    shipped, open_app: Opener, typed: str
) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "a")
        await answered(pilot, typed)
        await until(pilot, lambda: "expected a step from 0 to 19" in fault(pilot))


async def test_midway_only_as_much_noise_as_there_was_can_come_back(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "right", "right", "right", "right")
        await until_seen(pilot, "guess 4/20")
        await pilot.press("a")
        await answered(pilot, "5")
        await until(pilot, lambda: "expected a step from 0 to 4" in fault(pilot))
        await answered(pilot, "1")
        await until_seen(pilot, "23/23")
        assert edits(pilot) == [(4, AddNoise(to=1))]


async def test_pure_noise_needs_no_noise(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "right")
        await until_seen(pilot, "guess 1/20")
        await pilot.press("left", "a")
        await until_seen(pilot, "this is pure noise still")


async def test_a_sampler_that_draws_noise_forks_with_another_seed(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = pane_of(pilot)
        await pilot.press("3", "s", "s", "s", "s")
        assert pane.settings.sampler == "ddpm"
        await pilot.press("right", "right")
        await until_seen(pilot, "guess 2/20")
        await pilot.press("f")
        await until_seen(pilot, "20/20")
        ((step, edit),) = edits(pilot)
        assert (step, edit) == (2, SetSeed(pane.seed))


async def test_a_sampler_that_draws_none_forks_with_noise_added_back_and_says_so(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", *["right"] * 6)
        await until_seen(pilot, "guess 6/20")
        await pilot.press("f")
        await until_seen(pilot, "this sampler draws no noise on the way")
        await until_seen(pilot, "23/23")
        assert edits(pilot) == [(6, SetSeed(pane_of(pilot).seed)), (6, AddNoise(to=3))]


async def test_another_caption_from_a_step_on(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "left", "left")
        before = pane_of(pilot).prompt
        await pilot.press("c")
        await until_seen(pilot, "Caption from step 18 on")
        await answered(pilot, "blue star")
        await until_seen(pilot, "“blue star”")
        await until_seen(pilot, "20/20")
        assert edits(pilot) == [(18, SetPrompt("blue star"))]
        await pilot.press("left", "left", "left")
        await until_seen(pilot, f"“{before}”")


async def test_a_setting_midway_forks_and_at_the_end_begins_again(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        pane = pane_of(pilot)
        await drawn_to(pilot, "left", "plus")
        await until(pilot, lambda: len(pane.traces.branches) == 2)
        await until_seen(pilot, "20/20")
        assert shown(pilot).forked_at == 19
        await pilot.press("plus")
        await until(pilot, lambda: len(pane.traces.branches) == 3)
        assert shown(pilot).request.edits == ()


async def test_eta_is_offered_with_ddim_alone(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "d")
        await until_seen(pilot, "eta is DDIM's alone")
        assert "d eta" not in seen(pilot)
        await pilot.press("s", "s", "s")
        await until_seen(pilot, "d eta")
        await pilot.press("d")
        await answered(pilot, "0.5")
        await until(pilot, lambda: pane_of(pilot).settings.eta == 0.5)


# --- other beginnings -----------------------------------------------------------------


async def test_a_picture_of_yours_to_begin_from(
    shipped, open_app: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.png").write_bytes(b"a picture")
    async with open_app() as pilot:
        await drawn_to(pilot, "i")
        await answered(pilot, "cat.png")
        await answered(pilot, "2")
        await until(pilot, lambda: "strength '2': expected a number" in fault(pilot))
        await answered(pilot, "0.3")
        await until_seen(pilot, "6/6")
        assert "from cat.png, 0.3" in seen(pilot)
        assert isinstance(shown(pilot).request.init, Picture)
        await pilot.press("i")
        await answered(pilot, "noise")
        await pilot.press("enter")
        await until_seen(pilot, "20/20")
        assert shown(pilot).request.init is None


async def test_without_a_path_it_begins_from_a_training_picture(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "i", "enter", "enter")
        await until_seen(pilot, "12/12")
        assert "a training picture, 0.6" in seen(pilot)


async def test_a_picture_that_is_not_there_is_one_line_and_the_last_one_stays(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot)
        before = shown(pilot)
        await pilot.press("i")
        await answered(pilot, "dog.png")
        await pilot.press("enter")
        await until_seen(pilot, "dog.png: no such file; check its name")
        assert shown(pilot) is before
        assert pane_of(pilot).opening.init is None


async def test_a_training_picture_drowns_and_is_denoised_from_a_step(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "u")
        await until_seen(pilot, "noisy 20/20")
        assert shown(pilot).request.forward
        frame = shown(pilot).frame
        assert frame is not None
        assert frame.sigma == pytest.approx(40)
        assert "σ 40    ━" in seen(pilot)
        assert "● noise" in seen(pilot)
        await pilot.press("a")
        await until_seen(pilot, "adds noise by itself")
        await pilot.press(*["left"] * 12, "f")
        await until_seen(pilot, "16/16")
        assert edits(pilot) == [(8, Denoise())]
        assert "● picture" in seen(pilot)
        await pilot.press("u")
        await until_seen(pilot, "guess 20/20")
        assert not shown(pilot).request.forward


async def test_a_finished_picture_drowns_itself(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot)
        frame = shown(pilot).frame
        assert frame is not None
        await pilot.press("u")
        await until_seen(pilot, "this picture drowns in noise")
        init = pane_of(pilot).opening.init
        assert isinstance(init, Picture)
        assert init.rgb == frame.guess


# --- grids ----------------------------------------------------------------------------


async def test_a_form_filled_in_at_once_is_done(shipped, open_app: Opener) -> None:
    """Both Enters are there before the focus has moved, as over a link that stalls."""
    async with open_app() as pilot:
        await pilot.press("3", "w")
        await until_seen(pilot, "along y")
        for _ in range(2):
            pilot.app.post_message(events.Key("enter", None))
        await until(pilot, lambda: pane_of(pilot).trace is not None)
        assert len(shown(pilot).request.grid) == 2


@pytest.mark.parametrize("size", SIZES)
async def test_a_grid_has_its_values_along_the_edges(
    shipped, open_app: Opener, size: tuple[int, int]
) -> None:
    async with open_app(size=size) as pilot:
        await pilot.press("3", "w")
        await answered(pilot, "seed 11..14")
        await answered(pilot, "guidance 1, 2.5, 8")
        await until_seen(pilot, "20/20")
        x, y = shown(pilot).request.grid
        assert x == Axis(name="seed", values=("11", "12", "13", "14"))
        assert y == Axis(name="guidance", values=("1", "2.5", "8"))
        assert "128×96 at 1" in seen(pilot)
        assert "seed → · guidance ↓" in seen(pilot)
        top = next(line for line in seen(pilot).splitlines() if " 11 " in line)
        assert top.index("11") < top.index("12") < top.index("13") < top.index("14")
        assert " 2.5 " in seen(pilot)


async def test_the_border_has_the_values_where_the_edges_have_no_room(
    shipped, open_app: Opener
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "p", "w")
        await answered(pilot, "seed 1..4")
        await answered(pilot, "sampler heun, ddim, ddpm, dpmpp-2m")
        await until_seen(pilot, "20/20")
        await until_seen(pilot, "seed 1..4 → · sampler heun, ddim, ddpm, dpmpp-2m ↓")


@pytest.mark.parametrize(
    ("along_x", "along_y", "line"),
    [
        ("sead 1..4", "", "no setting 'sead': did you mean 'seed'?"),
        ("seed", "", "seed: give its values, as in seed 1..6"),
        ("seed 1..99", "", "seed 1..99: give 1 to 16 seeds, the lowest first"),
        ("seed a, b", "", "seed 'a': expected a whole number"),
        ("guidance 1, 99", "", "guidance '99': expected a number, 0 to 20"),
        ("sampler heum", "", "no sampler 'heum': did you mean 'heun'?"),
        ("seed 1..3", "seed 4, 5", "seed is along both sides"),
        ("seed 1..16", "guidance 1, 2, 3, 4, 5", "80 pictures: at most 64 are drawn at once"),
    ],
)
async def test_what_a_grid_cannot_be_is_said_in_place(
    shipped, open_app: Opener, along_x: str, along_y: str, line: str
) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "w")
        await answered(pilot, along_x)
        await answered(pilot, along_y)
        await until(pilot, lambda: line in fault(pilot))


# --- the mask -------------------------------------------------------------------------


async def test_a_painted_mask_is_drawn_again(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "m")
        await until_seen(pilot, "0 of 1024 pixels may change")
        await pilot.press("enter")
        await until_seen(pilot, "nothing is painted")
        await pilot.press("n", "enter")
        await until_seen(pilot, "everything is painted")
        await pilot.press("x", "plus", "plus", "space", "shift+right", "J", "down")
        await until_seen(pilot, "15 of 1024 pixels may change  brush 3")
        mask = pilot.app.screen.query_one(MaskPainter).mask
        await pilot.press("enter")
        await until_seen(pilot, "Draw the masked part again")
        await pilot.press("enter")
        await until_seen(pilot, "30/30")
        assert edits(pilot) == [(20, AddNoise(to=10, mask=mask))]
        assert (len(mask), sum(mask)) == (1024, 15)
        assert "mask, noise back to 10" in seen(pilot)


async def test_esc_leaves_the_mask_and_nothing_is_forked(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await drawn_to(pilot, "m", "space", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, MaskScreen))
        assert len(pane_of(pilot).traces.branches) == 1


async def test_a_grid_has_no_mask(shipped, open_app: Opener) -> None:
    async with open_app() as pilot:
        await pilot.press("3", "w")
        await answered(pilot, "seed 1..4")
        await answered(pilot, "none")
        await until_seen(pilot, "20/20")
        await pilot.press("m")
        await until_seen(pilot, "a mask is painted on one picture")


async def test_a_mask_needs_room(shipped, open_app: Opener) -> None:
    async with open_app(size=(70, 18)) as pilot:
        await drawn_to(pilot, "m")
        await until_seen(pilot, "painting a mask needs 42×23 cells")


# --- all of it ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", "c", "f", "i", "m", "u", "w", "p", "o", "d"])
async def test_every_key_says_so_where_there_is_no_model(open_app: Opener, key: str) -> None:
    async with open_app(lists=False) as pilot:
        await pilot.press("3", key)
        await pilot.pause()
        assert pilot.app.screen is home_of(pilot)


async def test_a_fork_at_the_end_plays_on_however_late_the_worker_answers(
    shipped, open_app: Opener
) -> None:
    async with open_app(worker=(*SLOW[:2], "--delay", "0.02", "--slow-load", "0.4")) as pilot:
        await drawn_to(pilot, "f")
        await until_seen(pilot, "30/30")
        assert [edit for _, edit in edits(pilot)][1] == AddNoise(to=10)
        assert pane_of(pilot).query_one(".settings-lines", Static).size.height == 5

"""The controller of a pane of traces, with a worker in the same process and no app."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_session import FakeSession, Listener
from msgspec.structs import replace

from genui import protocol
from genui.base.errors import MisuseError
from genui.formats.recipe import Machine
from genui.protocol import (
    FROM_DATA,
    AddNoise,
    Axis,
    Denoise,
    EditAt,
    RgbImage,
    SetPrompt,
    SetSeed,
    SetSettings,
    TextFrame,
    TextSettings,
)
from genui.runs.models import ModelInfo
from genui.ui.traces.controller import NO_MODEL, Opening, TraceController, parse_whole_number
from genui.ui.traces.export import tree_of
from genui.ui.traces.image import (
    ImageController,
    fit_settings,
    halfway,
    last_noise_step,
    parse_opening,
)
from genui.ui.traces.trees import ShownTrace


def model(name: str, medium: str = "image", family: str = "diffusion") -> ModelInfo:
    return ModelInfo(
        ref=name,
        name=name,
        family=family,
        medium=medium,
        dataset=name,
        parameters=1,
        step=1,
        summary="",
        path=Path(),
        source="shipped",
    )


EMOJI, ICONS = model("emoji"), model("icons")
PLAYS = model("shakespeare", "text", "transformer")


class Stage:
    """A controller, its session and its listener."""

    def __init__(self, make: Callable[[FakeSession, Listener], Any]) -> None:
        self.listener = Listener()
        self.session = FakeSession(self.listener)
        self.controller = self.listener.controller = make(self.session, self.listener)

    @property
    def trace(self) -> ShownTrace[Any]:
        trace = self.controller.trace
        assert trace is not None
        return trace

    @property
    def frame(self) -> Any:
        """The step that is shown."""
        assert self.trace.frame is not None
        return self.trace.frame

    @property
    def labels(self) -> list[str]:
        return [branch.label for branch in self.controller.tree.branches]

    @property
    def edits(self) -> list[tuple[int, object]]:
        return [(at.step, at.edit) for at in self.trace.request.edits]

    def go(self, step: int) -> None:
        """Show that step of the trace, once it is computed."""
        self.controller.ensure_trace()
        self.controller.seek(step)
        self.session.deliver()
        assert self.trace.position == step

    def play(self) -> None:
        """Play to the end."""
        self.session.deliver()
        while self.trace.playing:
            self.trace.tick(1.0, 1)


def text(session: FakeSession, listener: Listener) -> TraceController[TextFrame, TextSettings]:
    return TraceController(session, listener, TextSettings(), first=1, steps="tokens")


@pytest.fixture
def images() -> Stage:
    stage = Stage(ImageController)
    stage.controller.use_model(EMOJI)
    return stage


@pytest.fixture
def texts() -> Stage:
    stage = Stage(text)
    stage.controller.use_model(PLAYS)
    stage.controller.settings = TextSettings(tokens=40)
    return stage


# --- playing and seeking ----------------------------------------------------------------


def test_without_a_model_every_key_says_what_to_do() -> None:
    stage = Stage(ImageController)
    controller = stage.controller
    for key in (controller.play, controller.fork_here, lambda: controller.step(1)):
        key()
    assert stage.listener.lines == [NO_MODEL] * 3
    assert controller.trace is None
    assert stage.session.asked == []


def test_a_model_that_is_offered_is_used_unless_another_was_chosen(images: Stage) -> None:
    images.controller.offer(ICONS)
    assert images.controller.model is EMOJI
    fresh = Stage(ImageController)
    fresh.controller.offer(ICONS)
    assert fresh.controller.model is ICONS
    assert fresh.session.asked == []


def test_space_stops_a_loading_and_starts_it_again(texts: Stage) -> None:
    controller, session = texts.controller, texts.session
    controller.play()
    session.worker.replies = [protocol.Loading(trace=texts.trace.id, share=0.43, size=538_000_000)]
    session.deliver()
    said = texts.trace.loading_text(3.0)
    assert all(part in said for part in ("shakespeare", "538 MB", "43 %", "space stops"))

    controller.play()
    assert session.asked[-1] == protocol.Cancel(texts.trace.id)
    assert "stopping" in texts.trace.loading_text(3.0)
    session.worker.replies = [protocol.Failed(texts.trace.id, "loading was stopped")]
    session.deliver()
    assert texts.listener.lines[-1] == "loading was stopped"
    assert not texts.listener.errors
    assert not texts.trace.loading

    controller.play()
    session.deliver()
    assert texts.trace.computed == 40


def test_a_loading_that_is_stopped_leaves_its_branch_beside_others(texts: Stage) -> None:
    texts.go(5)
    texts.controller.prompt = "another prompt"
    texts.controller.start_over(play=True)
    texts.controller.play()
    texts.session.worker.replies = [protocol.Failed(texts.trace.id, "loading was stopped")]
    texts.session.deliver()
    assert texts.trace.request.prompt == "another prompt"
    assert len(texts.labels) == 2


def test_play_asks_for_all_steps_and_a_pause_stays_where_the_playhead_is(images: Stage) -> None:
    controller = images.controller
    controller.play()
    images.session.deliver()
    assert (images.trace.computed, images.trace.total) == (20, 20)
    images.trace.tick(4.0, 10)
    controller.play()
    assert not images.trace.playing
    assert images.trace.position == images.trace.goal == 1


def test_steps_forward_come_from_the_worker_and_back_from_memory(images: Stage) -> None:
    controller = images.controller
    for _ in range(3):
        controller.step(1)
        images.session.deliver()
    third = images.trace.frame
    assert third is not None
    assert third.step == images.trace.computed == 3
    asked = len(images.session.asked)
    controller.step(-1)
    controller.step(1)
    assert images.trace.frame is third
    assert len(images.session.asked) == asked
    controller.ends(1)
    images.session.deliver()
    assert images.trace.position == 20
    controller.ends(-1)
    assert images.trace.position == 0


def test_a_step_that_a_key_asked_for_is_shown_at_once_and_playing_waits_for_the_tick(
    texts: Stage,
) -> None:
    texts.controller.step(1)
    texts.session.deliver()
    assert texts.listener.news == 0
    moves = texts.listener.moves
    texts.controller.play()
    texts.session.deliver(10)
    assert texts.listener.news > 0
    assert texts.listener.moves == moves + 1


def test_another_seed_begins_another_trace_beside_the_first(images: Stage) -> None:
    images.go(20)
    first = images.trace
    images.controller.reseed()
    images.play()
    assert images.trace is not first
    assert images.trace.request.seed == images.controller.seed != first.request.seed
    assert len(images.controller.tree.branches) == 2
    assert images.trace.position == 20


def test_a_prompt_the_model_does_not_know_is_said(images: Stage) -> None:
    images.controller.prompt = "zebra"
    images.controller.start_over(play=True)
    images.session.deliver()
    assert images.listener.lines == ["the model does not know 'zebra'"]


def test_a_model_that_cannot_be_loaded_is_one_line_and_nothing_plays(texts: Stage) -> None:
    texts.controller.use_model(model("broken", "text", "transformer"))
    texts.controller.play()
    texts.session.deliver()
    assert texts.listener.errors == ["broken: the file is truncated; copy it again"]
    assert not texts.trace.playing


def test_after_the_worker_died_it_goes_on_from_what_is_here(texts: Stage) -> None:
    texts.go(5)
    kept = list(texts.trace.frames)
    texts.controller.play()
    texts.session.die()
    assert not texts.trace.playing
    assert texts.trace.frames[:5] == kept
    texts.controller.play()
    texts.session.deliver()
    assert texts.trace.frames[:5] == kept
    assert [frame.step for frame in texts.trace.frames] == list(range(1, 41))


# --- settings ---------------------------------------------------------------------------


def test_a_setting_midway_forks_and_at_the_end_begins_again(images: Stage) -> None:
    controller = images.controller
    images.go(19)
    assert controller.change(replace(controller.settings, guidance=5.0))
    controller.apply("guidance 5")
    images.play()
    assert images.trace.forked_at == 19
    assert images.edits == [(19, SetSettings(controller.settings))]
    controller.change(replace(controller.settings, guidance=6.0))
    controller.apply("guidance 6")
    assert images.edits == []
    assert images.labels == ["seed 1", "guidance 5", "guidance 6"]
    assert not controller.change(controller.settings)


def test_a_setting_that_the_sampler_or_the_model_has_not_is_refused(images: Stage) -> None:
    controller = images.controller
    controller.settings = replace(controller.settings, sampler="heun")
    assert "eta applies to DPM++ and DDIM only" in controller.refusal("eta")
    assert "emoji has no guide model" in controller.refusal("autoguidance")
    assert controller.refusal("watermark") == ""
    assert "no watermark is on" in controller.refusal("watermark_key")
    controller.settings = replace(controller.settings, watermark="noise")
    assert controller.refusal("watermark_key") == ""
    controller.model = model("video", "video")
    assert controller.refusal("watermark") == "video carries no watermark"
    assert fit_settings(controller.settings, controller.model).watermark == "none"
    controller.settings = replace(controller.settings, sampler="ddim")
    assert controller.refusal("eta") == controller.refusal("guidance") == ""


# --- forks ------------------------------------------------------------------------------


def test_text_forks_from_the_playhead_with_another_seed(texts: Stage) -> None:
    texts.go(7)
    before = texts.trace
    texts.controller.fork_here()
    texts.session.deliver()
    assert texts.edits == [(7, SetSeed(texts.controller.seed))]
    assert texts.trace.frames[:7] == before.frames[:7]
    assert texts.trace.computed == 40


def test_a_complete_text_has_nothing_to_fork(texts: Stage) -> None:
    texts.go(40)
    texts.controller.fork_here()
    assert texts.labels == ["seed 1"]
    assert "it is complete" in texts.listener.lines[-1]


def test_a_sampler_that_draws_noise_forks_with_another_seed(images: Stage) -> None:
    images.controller.settings = replace(images.controller.settings, sampler="ddpm")
    images.go(2)
    images.controller.fork_here()
    images.play()
    assert images.edits == [(2, SetSeed(images.controller.seed))]


def test_a_sampler_that_draws_none_forks_with_noise_added_back_and_says_so(images: Stage) -> None:
    images.controller.settings = replace(images.controller.settings, sampler="heun")
    images.go(6)
    images.controller.fork_here()
    images.play()
    assert images.edits == [(6, SetSeed(images.controller.seed)), (6, AddNoise(to=3))]
    assert images.trace.total == 23
    assert "so the fork got new noise, as of step" in images.listener.lines[-1]


def test_a_finished_image_forks_with_noise_added_back(images: Stage) -> None:
    images.go(20)
    images.controller.fork_here()
    images.play()
    assert [edit for _, edit in images.edits][1] == AddNoise(to=10)
    assert images.trace.position == 30


def test_from_pure_noise_a_fork_is_another_seed(images: Stage) -> None:
    images.go(0)
    images.controller.fork_here()
    images.play()
    assert images.edits == []
    assert len(images.controller.tree.branches) == 2


def test_a_grid_of_seeds_forks_with_other_noise_or_says_how(images: Stage) -> None:
    controller = images.controller
    controller.settings = replace(controller.settings, sampler="ddpm")
    controller.open_grid((Axis(name="seed", values=("1", "2")),))
    images.session.deliver()
    assert images.labels == ["grid of seed"]
    images.go(4)
    controller.fork_here()
    assert "the seed varies along this grid" in images.listener.lines[-1]
    assert images.edits == []
    images.go(20)
    controller.fork_here()
    assert images.edits == [(20, AddNoise(to=10))]


def test_another_caption_from_a_step_on(images: Stage) -> None:
    images.go(18)
    images.controller.recaption(images.trace, "blue star", 18)
    images.play()
    assert images.edits == [(18, SetPrompt("blue star"))]
    assert images.labels == ["seed 1", "“blue star”"]
    images.controller.recaption(images.trace, "", 18)
    assert images.labels[-1] == "no caption"
    forked = images.trace
    images.controller.recaption(Stage(text).controller.trace, "late", 3)
    assert images.trace is forked


# --- noise added back -------------------------------------------------------------------


def test_noise_is_added_back_to_a_step_and_denoised_again(images: Stage) -> None:
    images.go(20)
    assert (halfway(images.trace), last_noise_step(images.trace)) == (10, 19)
    images.controller.add_noise(images.trace, 20, 10)
    images.play()
    assert images.edits == [(20, AddNoise(to=10))]
    assert images.trace.position == 30


@pytest.mark.parametrize("typed", ["20", "-1", "half", "", "²"])
def test_a_step_that_cannot_be_gone_back_to_is_refused(typed: str) -> None:
    with pytest.raises(MisuseError, match="expected a step from 0 to 19"):
        parse_whole_number(typed, 0, 19, "step")


def test_midway_only_as_much_noise_as_there_was_can_come_back(images: Stage) -> None:
    images.go(4)
    assert last_noise_step(images.trace) == 4
    images.controller.add_noise(images.trace, 4, 1)
    images.play()
    assert images.trace.total == 23


def test_pure_noise_and_the_forward_process_need_no_noise(images: Stage) -> None:
    images.go(1)
    images.go(0)
    assert images.controller.noisable() is None
    assert "this is still pure noise" in images.listener.lines[-1]
    images.controller.toggle_forward()
    images.go(4)
    assert images.controller.noisable() is None
    assert "this is the forward process" in images.listener.lines[-1]


# --- other beginnings -------------------------------------------------------------------


def test_an_image_to_begin_from_is_a_path_or_the_nearest_training_image(
    images: Stage, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"an image")
    images.controller.open(parse_opening([str(path), "0.3"]))
    images.play()
    assert images.trace.position == images.trace.total == 6
    assert isinstance(images.trace.request.init, RgbImage)  # it is kept as it was
    assert images.labels == ["from cat.png, 0.3"]
    assert parse_opening(["", "0.6"]) == Opening(FROM_DATA, 0.6)
    assert parse_opening(["noise", ""]) == Opening()
    for typed in ("2", "0", "much", ""):
        with pytest.raises(MisuseError, match="expected a number above 0, up to 1"):
            parse_opening(["cat.png", typed])


def test_an_image_that_is_not_there_is_one_line_and_the_last_trace_stays(images: Stage) -> None:
    images.go(20)
    before = images.trace
    images.controller.open(Opening("dog.png"))
    images.session.deliver()
    assert images.listener.errors == ["dog.png: no such file; check its name"]
    assert images.trace is before
    assert images.controller.opening.init is None
    assert len(images.controller.tree.branches) == 1


def test_the_forward_process_is_denoised_from_a_step_and_left_again(images: Stage) -> None:
    controller = images.controller
    assert controller.toggle_forward() == "x"
    images.play()
    assert images.trace.request.forward
    assert images.frame.sigma == pytest.approx(40)
    images.go(8)
    controller.fork_here()
    images.play()
    assert images.edits == [(8, Denoise())]
    assert images.trace.total == 16
    assert controller.toggle_forward() == "denoised"
    assert not images.trace.request.forward


def test_the_forward_process_of_a_finished_image_begins_from_it(images: Stage) -> None:
    images.go(20)
    finished = images.frame
    images.controller.toggle_forward()
    init = images.controller.opening.init
    assert isinstance(init, RgbImage)
    assert init.rgb == finished.denoised
    assert images.labels[-1] == "forward from this image"


# --- branches ---------------------------------------------------------------------------


@pytest.fixture
def grown(images: Stage) -> Stage:
    """A trace to its end, a fork of it at 12 and a fork of that at 15."""
    images.go(20)
    for step, seed in ((12, 7), (15, 9)):
        images.controller.seed = seed
        images.controller.fork(SetSeed(seed), f"seed {seed}", step=step)
        images.play()
    return images


def test_a_branch_is_shown_with_its_model_prompt_seed_and_settings(grown: Stage) -> None:
    controller = grown.controller
    controller.open_model(ICONS)
    controller.settings = replace(controller.settings, guidance=9.0)
    controller.show_branch(1)
    assert controller.model is EMOJI
    assert controller.seed == 7
    assert controller.settings.guidance != 9.0
    assert controller.tree.shown is controller.tree.branches[1]


def test_what_is_shown_cannot_be_dropped_nor_what_it_grew_from(grown: Stage) -> None:
    assert [grown.controller.drop(number) for number in (2, 1, 0)] == [[], [], []]
    assert grown.labels == ["seed 1", "seed 7", "seed 9"]


def test_dropping_a_branch_drops_what_grew_from_it_and_the_worker_forgets_them(
    grown: Stage,
) -> None:
    gone = [branch.trace.id for branch in grown.controller.tree.branches[1:]]
    grown.controller.show_branch(0)
    dropped = grown.controller.drop(1)
    assert [branch.label for branch in dropped] == ["seed 7", "seed 9"]
    closed = [ask.trace for ask in grown.session.asked if isinstance(ask, protocol.Close)]
    assert closed == gone


def test_undo_goes_back_through_what_was_shown_and_removed(grown: Stage) -> None:
    controller = grown.controller
    controller.show_branch(0)
    controller.drop(1)
    assert controller.undo() == "“seed 7”, forked at step 12 and 1 more: brought back"
    assert grown.labels == ["seed 1", "seed 7", "seed 9"]
    grown.go(20)
    assert controller.undo() == "back to “seed 9”, forked at step 15"
    assert controller.undo() == "back to “seed 7”, forked at step 12"
    assert controller.undo() == "back to “seed 1”"
    assert controller.undo() == ""
    controller.reseed()
    controller.undo()
    assert (controller.seed, controller.tree.shown) == (1, controller.tree.branches[0])


def test_a_branch_is_called_by_its_prompt_if_another_branch_has_another(images: Stage) -> None:
    controller = images.controller
    first = controller.prompt
    controller.start_over(play=True)
    controller.prompt = "blue dog"
    controller.start_over(play=True)
    controller.seed = 5
    controller.start_over(play=True)
    assert images.labels == ["seed 1", "“blue dog” · seed 1", "“blue dog” · seed 5"]
    controller.prompt = first
    controller.start_over(play=True)
    assert images.labels[-1] == f"“{first}” · seed 5"


def test_after_the_worker_died_a_branch_comes_to_the_same_frames(grown: Stage) -> None:
    branch = grown.controller.tree.branches[1].trace
    frames = [frame.x for frame in branch.frames]
    grown.session.die()
    branch.frames = []
    grown.controller.show_branch(1)
    grown.go(20)
    assert [frame.x for frame in branch.frames] == frames


# --- side by side -----------------------------------------------------------------------


def test_continuations_reuse_the_branch_that_is_here(texts: Stage) -> None:
    texts.go(3)
    first, second, third = texts.controller.continuations(3)
    assert (first.trace, first.branch) == (texts.trace, 0)
    assert [column.trace.request.seed for column in (second, third)] == [2, 3]
    assert second.branch is None


def test_another_model_is_asked_for_the_same(images: Stage) -> None:
    images.go(5)
    images.controller.recaption(images.trace, "blue star", 5)
    column = images.controller.model_column("icons")
    assert column is not None
    assert column.trace.request == replace(images.trace.request, model="icons")
    assert column.trace.request.edits == (EditAt(step=5, edit=SetPrompt("blue star")),)


def test_another_model_is_asked_without_what_it_does_not_have(images: Stage) -> None:
    controller = images.controller
    several = dataclasses.replace(model("large"), settings={"size": 512})
    controller.add_models([ICONS, several])
    controller.use_model(several)
    assert controller.settings.size == 512
    controller.change(replace(controller.settings, size=384))
    controller.start_over(play=False)
    images.go(2)
    column = controller.model_column(ICONS.ref)
    assert column is not None
    assert column.trace.request.settings == replace(controller.settings, size=0)
    same = controller.model_column("large")
    assert same is not None
    assert same.trace.request.settings.size == 384
    controller.use_model(ICONS)
    assert controller.settings.size == 0


def test_a_column_that_is_taken_becomes_a_branch(texts: Stage) -> None:
    texts.go(3)
    _, other = texts.controller.continuations(2)
    texts.controller.take_column(other)
    assert texts.trace is other.trace
    assert texts.controller.seed == 2
    texts.controller.take_column(texts.controller.column(texts.controller.tree.branches[0]))
    assert texts.controller.seed == 1
    texts.controller.take_column(None)
    assert texts.labels == ["seed 1", "seed 2"]


# --- saved ------------------------------------------------------------------------------


def test_a_trace_is_a_tree_with_a_branch_for_each_edit(images: Stage) -> None:
    images.go(20)
    assert [branch.label for branch in tree_of(images.trace, Machine()).branches] == ["seed 1"]
    images.controller.fork_here()  # two edits at once are one branch
    images.controller.recaption(images.trace, "blue star", 22)
    labels = [branch.label for branch in tree_of(images.trace, Machine()).branches]
    assert labels == ["seed 1", "", "edit at 20", "edit at 22"]

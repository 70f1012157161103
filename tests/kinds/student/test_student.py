"""Students begin as their teacher, learn where it arrives, and draw in few steps."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from shares import assert_shares_add_up
from tiny_models import write_models

from genui.cli.main import main
from genui.engine import trainer
from genui.engine.device import Machine
from genui.engine.kinds import Checkpoint, build_generator, trains
from genui.engine.load import find_and_load
from genui.engine.sample.diffusion import DiffusionGenerator
from genui.engine.sample.trace import Trace
from genui.kinds.student import metrics
from genui.kinds.student.recipe import StudentRecipe
from genui.kinds.student.task import StudentTask, student_settings
from genui.protocol import ImageSettings, SetSettings, Start, kinds
from genui.recipes import Recipe, find_recipe
from genui.runs import launch

CPU = torch.device("cpu")
STEPS = 30
MACHINE = Machine("cpu", "fp32", 1)
RECIPE = StudentRecipe(
    name="pupil", dataset="icons", teacher="shapes", batch=8, reuse=4, precision="fp32", seed=3
)


@pytest.fixture(autouse=True)
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_models(tmp_path / "weights")
    monkeypatch.setattr(kinds, "weights_folders", lambda: [tmp_path / "weights"])


def loaded(task: StudentTask) -> DiffusionGenerator:
    """The generator of a checkpoint of a task."""
    tensors = {name: value.clone() for name, value in task.model.state_dict().items()}
    generator = build_generator(Checkpoint(RECIPE, tensors, task.extra), MACHINE)
    assert isinstance(generator, DiffusionGenerator)
    return generator


def test_a_student_begins_as_its_teacher() -> None:
    # A generator for batches would compute in bf16 where the processor is faster with it.
    teacher = find_and_load("shapes", precision="fp32")
    assert isinstance(teacher, DiffusionGenerator)
    one, other = (
        each.denoised(["cat", "dog"], [1, 2], student_settings(4))
        for each in (teacher, loaded(StudentTask(RECIPE, CPU)))
    )
    assert torch.allclose(one, other, atol=1e-4)


def test_it_suggests_the_captions_of_its_data() -> None:
    assert RECIPE.prompts == find_recipe("icons").prompts


def test_it_learns_where_its_teacher_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genui.kinds.student.task.EVALUATED", 8)
    task = StudentTask(RECIPE, CPU)
    optimizer = torch.optim.Adam(task.model.parameters(), 8e-3)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    before = task.evaluate(task.model, MACHINE, False)
    network: Any = task.model.network
    captions = copy.deepcopy([network.caption.state_dict(), network.canvas.state_dict()])
    for step in range(STEPS):
        optimizer.zero_grad()
        task.loss(step).backward()
        optimizer.step()
        falling.step()
    after = task.evaluate(task.model, MACHINE, False)
    assert after["error_2"] < 0.9 * before["error_2"]
    assert after["error_1"] < 0.9 * before["error_1"]
    for part, kept in zip((network.caption, network.canvas), captions, strict=True):
        assert all(torch.equal(one, kept[name]) for name, one in part.state_dict().items())
    draws = loaded(task).denoised(["cat"], [5], student_settings(2))
    assert not torch.allclose(draws, loaded(task).denoised(["cat"], [5], student_settings(1)))


def test_a_step_is_the_same_after_a_resume_and_in_shares() -> None:
    task = StudentTask(RECIPE, CPU)
    for step in range(3):
        task.loss(step)
    assert torch.equal(task.loss(3), StudentTask(RECIPE, CPU, task.extra).loss(3))
    assert_shares_add_up(task)


def test_other_steps_from_the_middle_of_a_trace_are_predicted_for_them() -> None:
    task = StudentTask(RECIPE, CPU)
    with torch.no_grad():
        task.model.network.noise.end[-1].weight.normal_()  # it heeds the end of a step
    generator = loaded(task)
    start = Start(trace=1, model="pupil", prompt="cat", seed=1, settings=student_settings(2))
    trace = Trace(generator, start)
    list(trace.advance(0, 2))
    forked = trace.fork(2, 1, SetSettings(settings=student_settings(4)))
    assert not torch.equal(forked.state(1).denoised, trace.state(1).denoised)
    heun = generator.note(generator.edit(trace.state(1), _heun()))
    assert "whole steps" in heun


def _heun() -> SetSettings:
    import msgspec

    return SetSettings(settings=msgspec.structs.replace(student_settings(2), sampler="heun"))


def test_the_nearest_training_images_are_those_of_its_teacher() -> None:
    start = Start(trace=1, model="pupil", prompt="cat", seed=1, settings=student_settings(1))
    trace = Trace(loaded(StudentTask(RECIPE, CPU)), start)
    list(trace.advance(0, 1))
    compare = trains(RECIPE)
    assert compare.nearest is not None
    assert len(compare.nearest(RECIPE, trace, 1, 3).images) == 3


def test_a_teacher_that_draws_nothing_or_something_else_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for settings, fault in (
        (["teacher=plays"], "teacher=plays: it is a transformer of text; name a diffusion model"),
        (["teacher=shapes"], "add --set dataset=icons"),
    ):
        words = [word for pair in settings for word in ("--set", pair)]
        assert main(["train", "fashion-student", *words, "--foreground"]) == 2
        assert fault in capsys.readouterr().err


def test_a_checkpoint_of_another_teacher_is_one_line() -> None:
    task = StudentTask(RECIPE, CPU)
    other = task.extra | {"teacher": task.extra["teacher"] | {"recipe": {"family": "gan"}}}
    with pytest.raises(TypeError, match="its teacher"):
        build_generator(Checkpoint(RECIPE, task.model.state_dict(), other), MACHINE)


def test_its_metrics_are_those_of_its_teacher_in_two_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    student = loaded(StudentTask(RECIPE, CPU))

    def measure(generator: DiffusionGenerator, taught: Recipe) -> dict[str, str]:
        drawn = generator.draw(["cat"], [1], ImageSettings(steps=9))
        same = np.array_equal(drawn, student.draw(["cat"], [1], student_settings(2)))
        return {"drawn": "in two" if same else "in nine"}

    monkeypatch.setattr(metrics, "trains", lambda _: SimpleNamespace(measure=measure))
    monkeypatch.setattr(metrics, "COMPARED", 1)
    found = metrics.measure_student(student, RECIPE)
    assert found.keys() == {"drawn, 2 steps", "1 step", "2 steps", "4 steps"}
    assert found["drawn, 2 steps"] == "in two"


def test_what_is_trained_is_drawn_and_replayed_in_the_shell(
    signals: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("genui.kinds.student.task.EVALUATED", 1)
    teacher = tmp_path / "weights" / "shapes" / "model.safetensors"
    changes = {"dataset": "icons", "teacher": str(teacher), "batch": "4", "steps": "2"}
    changes |= {"device": "cpu", "threads": "1"}
    run = launch.create(find_recipe("fashion-student"), changes, "pupil")
    assert trainer.train(run) == 0, run.console.read_text()
    out = tmp_path / "steps.png"
    assert main(["generate", "pupil", "--prompt", "cat", "--seed", "4", "--out", str(out)]) == 0
    assert main(["replay", str(out)]) == 0
    assert "identical" in capsys.readouterr().out

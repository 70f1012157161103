"""A small training of the Lab plays on Home until a key is pressed."""

from pathlib import Path

import pytest
import stage
from acting import Opener, home_of, seen, until, until_seen
from fake_lab_worker import FakeLab
from fake_process import in_process
from textual.pilot import Pilot

from genui.kinds.lab.demo import LabPreview
from genui.runs.layout import RunLock
from genui.ui.home_panes import TrainingPane

LAB = in_process(FakeLab)


@pytest.fixture(autouse=True)
def _lively(usual_pace: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENUI_QUIET", "0")


async def preview_of(pilot: Pilot[None]) -> LabPreview:
    home = home_of(pilot)
    await until(pilot, lambda: bool(home.query(LabPreview)))
    return home.query_one(LabPreview)


async def test_the_training_is_the_labs(shipped: Path, open_app: Opener) -> None:
    async with open_app(worker=LAB) as pilot:
        preview = await preview_of(pilot)
        await until(
            pilot,
            lambda: (trace := preview.controller.trace) is not None and trace.position > 0,
        )
        assert "learns two moons" in seen(pilot)


async def test_a_run_takes_the_place_of_the_small_training(shipped: Path, open_app: Opener) -> None:
    async with open_app() as pilot:
        await preview_of(pilot)
        run = stage.make_run()
        home_of(pilot).look_at(run)
        await until(pilot, lambda: not home_of(pilot).query(LabPreview))
        await until_seen(pilot, "plays-2")
        assert not home_of(pilot).query_one(TrainingPane).has_class("-preview")


async def test_the_lab_says_how_many_runs_train(shipped: Path, open_app: Opener) -> None:
    run = stage.make_run(name="live", state="running", step=3)
    with RunLock(run):
        async with open_app() as pilot:
            await until_seen(pilot, "● 1 training")
            await pilot.press("5")
            await until(pilot, lambda: home_of(pilot).visible_screen is not None)
            await until_seen(pilot, "● 1 training")

"""The Norms panel: gradients, updates, weights and activations by layer."""

import numpy as np
import stage
from acting import until_seen
from panel_stage import app_of, look, opened, points

from genui.ui.training.norms import NormsPanel
from genui.ui.training.snapshot import Snapshot
from genui.ui.watcher import RunView

STEPS = list(range(10, 2010, 10))


def measured(layers: int = 4) -> RunView:
    rng, norms = np.random.default_rng(0), {}
    for number in range(layers):
        values = np.exp(0.1 * rng.normal(size=len(STEPS)))
        if number == 2:
            values[150:152] *= 50
        norms[f"gradients/blocks.{number}.attention"] = points(STEPS, values.tolist(), STEPS)
        values[::2] = 0
        norms[f"updates/blocks.{number}.attention"] = points(STEPS, values.tolist(), STEPS)
    return look(stage.make_run(step=2000), norms=norms)


async def test_layers_are_rows_and_the_one_that_moved_first_is_named() -> None:
    panel = NormsPanel()
    async with opened(panel, (70, 14)) as pilot:
        app_of(pilot).show(measured(), cursor=1520)
        await until_seen(pilot, "moved first: step 1,510")
        await until_seen(pilot, "blocks.2.attention moved first")
        await until_seen(pilot, "█")
        await until_seen(pilot, "blocks.0.attention step 1,520:")
        panel.enter()
        await until_seen(pilot, "↑↓ layer")
        await pilot.press("down", "down")
        await until_seen(pilot, "blocks.2.attention step 1,520:")
        app_of(pilot).show(measured(), cursor=1000)
        await until_seen(pilot, "no layer moved")


async def test_a_step_at_which_muon_rests_says_so() -> None:
    async with opened(NormsPanel(), (70, 14)) as pilot:
        view = measured()
        app_of(pilot).panel.show(Snapshot((view,), 1010, norm="updates"))
        await until_seen(pilot, "step 1,010: Muon rests")
        app_of(pilot).panel.show(Snapshot((view,), 1020, norm="updates"))
        await until_seen(pilot, "× median")


async def test_more_layers_than_rows_scroll_to_the_chosen_one() -> None:
    panel = NormsPanel()
    async with opened(panel, (60, 11)) as pilot:
        app_of(pilot).show(measured(layers=30))
        panel.enter()
        await until_seen(pilot, "↑↓ layer")
        await pilot.press(*["down"] * 29)
        await until_seen(pilot, "blocks.29.attention step 2,000")


async def test_without_norms_the_panel_says_how_to_measure_them() -> None:
    async with opened(NormsPanel(), (60, 12)) as pilot:
        app_of(pilot).show(look(stage.make_run(step=10)))
        await until_seen(pilot, "norms=auto")
        await until_seen(pilot, "genui.watch(model)")

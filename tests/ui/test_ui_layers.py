"""The Layers panel of the Training screen: a checkpoint's logit lens, by the cursor."""

import pytest
import stage
from acting import seen, until, until_seen
from fake_session import FakeSession
from panel_stage import app_of, look, opened, with_info

from genui import protocol
from genui.ui.training.layers import LayersPanel, nearest_step


def test_the_nearest_checkpoint_is_that_of_the_cursor() -> None:
    assert nearest_step([], 3) is None
    assert nearest_step([10, 20, 40], None) == 40
    assert [nearest_step([10, 20, 40], at) for at in (0, 14, 16, 29, 31, 99)] == [
        10, 10, 20, 20, 40, 40
    ]  # fmt: skip


async def test_the_cursor_moves_the_layers_to_the_nearest_checkpoint() -> None:
    run = stage.make_run(step=400)
    run.checkpoint(200).write_bytes(run.checkpoint(400).read_bytes())
    async with opened(LayersPanel()) as pilot:
        app = app_of(pilot)
        session = FakeSession(app)  # type: ignore[arg-type]
        app.session = session  # type: ignore[attr-defined]

        async def shown(step: str) -> None:
            def arrived() -> bool:
                session.deliver()
                return f"checkpoint {step}  after ‘ROMEO:⏎’" in seen(pilot)

            await until(pilot, arrived)

        def started() -> list[str]:
            starts = [one for one in session.asked if isinstance(one, protocol.Start)]
            return [one.model.rpartition("/")[2] for one in starts]

        app.show(look(run))
        await until(pilot, lambda: bool(started()))
        await shown("400")
        assert "decided at layer 2" in seen(pilot)
        app.show(look(run), cursor=120.0)
        await until(pilot, lambda: len(started()) == 2)
        app.show(look(run), cursor=390.0)  # while that one is under way
        await pilot.pause()
        assert len(started()) == 2
        await shown("200")
        await shown("400")
        app.show(look(run), cursor=399.0)
        await pilot.pause()
        assert started() == [f"step-{step:08d}.safetensors" for step in (400, 200, 400)]
        closed = [one.trace for one in session.asked if isinstance(one, protocol.Close)]
        assert len(closed) == 3


@pytest.mark.parametrize(
    ("recipe", "checkpoint", "line"),
    [
        ("icons", True, "Only runs of text models show layers"),
        ("shakespeare", False, "No checkpoint yet"),
    ],
)
async def test_a_run_without_layers_says_why(recipe: str, checkpoint: bool, line: str) -> None:
    async with opened(LayersPanel()) as pilot:
        app = app_of(pilot)
        view = look(stage.make_run(recipe, step=40, checkpoint=checkpoint))
        app.show(with_info(view, format="wandb"))
        await until_seen(pilot, "Only runs of text models show layers")
        app.show(look(stage.make_run("shakespeare", step=40)))
        await until_seen(pilot, "genui watch runs no model")
        app.session = FakeSession(app)  # type: ignore[attr-defined, arg-type]
        app.show(view)
        await until_seen(pilot, line)

"""The station of the Canvas in the tour."""

from genui.ui.tour import Place, Scene, Step, has_begun

CANVAS = Place("{app.canvas} goes to the Canvas. ", lambda now: now.pane == "canvas")


def _has_made_another(now: Scene, start: Scene) -> bool:
    shown = now.trace("canvas")
    return has_begun(shown, start.trace("canvas")) and shown.finished


STEPS = (
    Step(
        "{app.canvas} is the Canvas. {canvas.caption} takes a caption: type heart, then Enter. "
        "Noise becomes an image.",
        _has_made_another,
    ),
    Step(
        "{canvas.back} goes back towards the noise. {canvas.view} shows the noisy image, "
        "the noise, the prediction.",
        lambda now, start: now.trace("canvas").went_back,
        place=CANVAS,
    ),
    Step(
        "The caption named no colours: {canvas.reseed} tries another seed, with other noise and "
        "colours. {canvas.drafts} drafts many.",
        lambda now, start: (
            _has_made_another(now, start) and now.trace("canvas").seed != start.trace("canvas").seed
        ),
        place=CANVAS,
    ),
    Step(
        "{canvas.compare}, then Enter shows another branch beside it, on one timeline. "
        "{canvas.back} and {canvas.forward} move both.",
        lambda now, start: now.window == "CompareScreen",
        place=CANVAS,
    ),
)

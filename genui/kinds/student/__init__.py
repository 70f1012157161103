"""Few-step students of diffusion models: one network for 1, 2, 4 and 8 steps."""

from pathlib import Path

from msgspec.structs import replace

from genui.base.late import late_imports
from genui.base.manual import Page
from genui.kinds.image import DENOISED
from genui.protocol.kinds import Recipes
from genui.protocol.settings import ImageSettings

with late_imports():
    from genui.engine import kinds as engine
    from genui.kinds.student import metrics, recipe, task

_PAGE = Page("students", "images in 1 to 8 steps", Path(__file__).with_name("help.md"))

KINDS = (
    replace(
        DENOISED,
        family="student",
        place=25,
        cell=0,
        folder=Path(__file__).parent,
        help=_PAGE,
        ability="draws images in few steps",
        limitations="It imitates another model's path from noise to image, and its images are "
        "seldom better. It learned 1, 2, 4 and 8 steps of Euler's method: other samplers and "
        "numbers of steps draw worse.",
        default_settings=ImageSettings(sampler="euler", steps=2, guidance=1.0),
        recipes=lambda: Recipes(recipe.StudentRecipe, recipe.STUDENT_RECIPES),
        prepares=lambda: engine.Prepares(check=recipe.check_teacher),
        trains=lambda: engine.Trains(
            task=task.StudentTask,
            measure=metrics.measure_student,
            nearest=task.nearest,
            prepare=task.prepare,
        ),
        generates=lambda: engine.Generates(load=task.load_student),
        batches=True,
        tour=None,
        demo=None,
        examples=("genui generate fashion-student --prompt sneaker --steps 2 --out two.png",),
    ),
)

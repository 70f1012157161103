"""All that the Lab's screen offers can be done."""

from acting import Opener, do_all, home_of, seen, type_all, until, until_seen
from fake_lab_worker import FakeLab
from fake_process import in_process

from genui.kinds.lab.pane import LabScreen
from genui.ui.screens import Palette
from genui.ui.training.screen import TrainingScreen

LAB = in_process(FakeLab)


async def test_every_command_of_the_lab_can_be_done(shipped, open_app: Opener) -> None:
    async with open_app((80, 24), LAB) as pilot:
        app, home = pilot.app, home_of(pilot)

        async def back() -> None:
            while not isinstance(app.screen, LabScreen):
                if app.screen is home:
                    home.open_screen("lab")
                elif isinstance(app.screen, TrainingScreen):
                    app.screen.action_view("home")
                else:
                    app.pop_screen()
                await pilot.pause()

        await back()
        lab = home.screens["lab"]
        begun = await do_all(pilot, Palette(lab, None), back)
        assert begun == {"Lab", "Everywhere", "Choose"}


async def test_no_character_ends_the_app(shipped, open_app: Opener) -> None:
    async with open_app((80, 24), LAB) as pilot:  # leaving raises what any key raised
        await until(pilot, lambda: bool(home_of(pilot).models))
        await pilot.press("5")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        await type_all(pilot)


async def test_f1_opens_the_manual_at_its_page(shipped, open_app: Opener) -> None:
    async with open_app(worker=LAB) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
        assert "5 Lab" in seen(pilot)
        await pilot.press("f1")
        await until_seen(pilot, "Manual: Lab")
        await until_seen(pilot, "learns points in the plane")

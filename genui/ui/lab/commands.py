"""The Lab's palette: every action, saved training and theme, by name."""

from collections.abc import Iterator

from genui.ui import keys
from genui.ui.palette import Command, Palette, key_commands, theme_commands
from genui.ui.screens.lab import LabScreen


class LabCommands(Palette):
    """What can be done in the Lab."""

    def commands(self) -> Iterator[Command]:
        lab = self.screen
        if not isinstance(lab, LabScreen):
            return
        for scope in ("points", "lab") if lab.lab.editing else ("lab",):
            yield from key_commands(scope, keys.of_pane(scope), lab.press)
        yield from key_commands("app", keys.common("lab"), lab.press)
        yield from theme_commands(self.app)

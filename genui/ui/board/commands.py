"""The Training screen's palette: every action, run and theme, by name."""

from collections.abc import Iterator

from genui.render.sanitise import clean_line
from genui.ui import keys
from genui.ui.palette import Command, Palette, key_commands, theme_commands
from genui.ui.screens.training import TrainingScreen


class BoardCommands(Palette):
    """What can be done on the Training screen."""

    def commands(self) -> Iterator[Command]:
        board = self.screen
        if not isinstance(board, TrainingScreen):
            return
        refused = board.refused_keys()
        own = [key for key in keys.of_pane("board") if key.id not in refused]
        yield from key_commands("board", own, board.press)
        rows = keys.common("board")
        offered = [key for key in rows if board.check_action(key.action.partition("(")[0], ())]
        yield from key_commands("app", offered, board.press)
        for run in board.known:
            yield Command(
                f"Show run {clean_line(run.info.name)}",
                clean_line(f"{run.state}, {run.run.id}: over the others, or no longer"),
                lambda run=run: board.toggle(run),
            )
        yield from theme_commands(self.app)

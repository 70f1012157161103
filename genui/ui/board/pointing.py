"""Asking the Training screen to move its cursor."""

from textual.message import Message


class Pointed(Message):
    """Show the run as it was at this step; None follows the newest."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self.step = step

"""Steps under a name of their own: the whole number at the beginning of lines, if it rises.

`seen 10 loss 2.3`, `20: loss 2.2`. Lines wait until a few of them say whether it is the step.
"""

from dataclasses import dataclass, field

from genui.logs.printed_result import Line, Notes

_MAX_NAMES = 256
_PATIENCE = 4  # lines that wait
_ENOUGH = 2  # times that it must rise


@dataclass
class _Lead:
    last: int = -1
    rises: int = 0
    waiting: list[Line] = field(default_factory=list)
    is_step: bool | None = None  # None is not known yet

    def release(self) -> list[Line]:
        """The lines that wait, at their steps; those that are weak go if it is no step."""
        waiting, self.waiting = self.waiting, []
        if self.is_step:
            return [_placed(line) for line in waiting]
        return [line for line in waiting if not line.weak]


class Leads:
    """The numbers that may be steps, by their names."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._leads: dict[str, _Lead] = {}

    def take(self, line: Line, finer: bool) -> list[Line] | None:
        """The lines that may be read now, with their steps; None if the number at the beginning of
        this one is none. `finer` says that the log has steps already."""
        assert line.lead is not None
        name, n = line.lead
        lead = self._leads.get(name)
        if lead is None:
            if len(self._leads) >= _MAX_NAMES:
                return None
            lead = self._leads[name] = _Lead()
        if lead.is_step is not None:
            return [_placed(line)] if lead.is_step else None
        if n < lead.last or (finer and lead.last < 0):
            lead.is_step = False
        elif lead.last >= 0:
            lead.rises += n > lead.last
        lead.last = n
        lead.waiting.append(line)
        if lead.is_step is None and lead.rises >= _ENOUGH:
            lead.is_step = True
            self._notes.add(
                f"the step is '{name}'" if name else "the step is the number that begins a line"
            )
        elif len(lead.waiting) > _PATIENCE:
            lead.is_step = False
        return lead.release() if lead.is_step is not None else []

    def finish(self) -> list[Line]:
        """The lines that wait, as far as they can be read; undecided if more follow after all."""
        lines: list[Line] = []
        for lead in self._leads.values():
            if lead.is_step is None and lead.waiting:
                lead.is_step = True if lead.rises else None
                if lead.is_step or not any(line.weak for line in lead.waiting):
                    lines += lead.release()
        return lines


def _placed(line: Line) -> Line:
    """The line at the step with which it begins."""
    assert line.lead is not None
    name, line.step = line.lead
    line.metrics.pop(name, None)
    line.weak = False
    return line

"""The settings of a run; of several, side by side, what differs first."""

from collections.abc import Sequence

from textual.content import Content

from genui.errors import MisuseError
from genui.render import numbers
from genui.render.sanitise import clean_line
from genui.ui.board.plots import pattern
from genui.ui.board.searched import SearchedPanel
from genui.ui.board.setting_rows import EMPTY, SettingRows
from genui.ui.board.settings_table import Setting, settings
from genui.ui.frame import set_border
from genui.ui.looking import RunView

NO_MATCH = "No setting matches. / and Esc show all of them"


class ConfigPanel(SearchedPanel):
    """Key and value of every setting, to scroll and to filter."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self._table = SettingRows()
        super().__init__(self._table, id=id, classes=classes)
        self._shown: object = None
        self._names: list[str] = []
        self._settings: list[Setting] = []
        self._changed_keys: frozenset[str] = frozenset()
        self._filter = pattern("")
        self._wanted = 0
        self._fault = False

    def on_mount(self) -> None:
        self._draw()

    def show(self, views: Sequence[RunView], cursor: float | None) -> None:
        """A run's settings are the same at every step: the cursor changes nothing here."""
        key = [(view.summary.run, view.config, view.summary.info.overrides) for view in views]
        if key == self._shown:
            return
        self._shown = key
        self._names = [clean_line(view.summary.info.name, 24) for view in views]
        self._settings = settings([view.config for view in views])
        overrides = views[0].summary.info.overrides if views else {}
        self._changed_keys = frozenset(overrides)
        self._draw()

    def typed(self, text: str) -> None:
        try:
            self._filter, self._fault = pattern(text), False
        except MisuseError:
            self._fault = True
            self.tell()
        else:
            self._draw()

    def _draw(self) -> None:
        wanted = [one for one in self._settings if self._matches(one)]
        self._wanted = len(wanted)
        self._table.say_empty(NO_MATCH if self._settings else EMPTY)
        self._table.set(self._names, wanted, self._changed_keys)
        self.tell()

    def _matches(self, one: Setting) -> bool:
        return any(self._filter.search(text) for text in (one.key, *one.values))

    def tell(self) -> None:
        count = numbers.count(len(self._settings))
        title = "Config"
        if len(self._names) > 1:
            title += (
                f"  {numbers.count(sum(one.differs for one in self._settings))} of {count} differ"
            )
        elif self._changed_keys:
            title += "  • set by you"
        some = f"{numbers.count(self._wanted)} of {count} · " if self._filter.pattern else ""
        keys = "/ filter · esc leave" if self.has_focus_within else "i filter, scroll"
        words = Content(f"{some}{keys}" if self._settings else "")
        if self._fault:
            words = Content.assemble(("not a regular expression yet", "$text-error"))
        set_border(self, title=title, subtitle=words)

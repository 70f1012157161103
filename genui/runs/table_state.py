"""The user's choices for a table of runs; a setting is an annotated field."""

from typing import Annotated, Literal

from msgspec import Struct

from genui.base.schema import about, settings_of

_ORDERS = {False: "smallest first", True: "largest first"}
_CHARTS = {"": "off", "scatter": "scatter", "parallel": "parallel"}


class TableState(Struct, frozen=True, omit_defaults=True):
    """The user's choices for the table. Columns are named by their keys."""

    filter: str = ""
    sort: Annotated[
        str,
        about(
            "By a column, its best value first; Enter takes any metric or config key",
            id="sort_by",
            off="",
            off_title="newest first",
        ),
    ] = ""
    descending: Annotated[
        bool,
        about("Of the sorted column, also by < and >", "order", id="order", choices=_ORDERS),
    ] = False
    group: Annotated[
        str,
        about(
            "A heading for each value of a column, the best group first",
            "group by",
            off="",
            off_title="–",
        ),
    ] = ""
    columns: Annotated[
        tuple[str, ...],
        about(
            "Keys with commas, e.g. best.val_loss, lr, seed; empty: what tells the runs apart",
            off=(),
            off_title="automatic",
        ),
    ] = ()  # empty: those of `survey`
    pins: tuple[str, ...] = ()  # keys of rows, which stay on top
    chart: Annotated[
        Literal["", "scatter", "parallel"],
        about("Scatter of two columns, or parallel coordinates", choices=_CHARTS),
    ] = ""
    x: Annotated[
        str,
        about(
            "Against the sorted metric; Enter takes any metric or config key",
            "x of scatter",
            off="",
            off_title="–",
        ),
    ] = ""  # empty: the first column in which the configs differ


TABLE_SETTINGS = {name: one for name, one in settings_of(TableState).items() if one.description}
"""The fields that the Settings panel changes."""

"""The table of runs without the app: columns, the filter, sorting, groups."""

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genui.base.errors import MisuseError
from genui.runs.labels import Labels
from genui.runs.layout import RunDir, RunInfo, Status
from genui.runs.listing import RunSummary
from genui.runs.table import (
    Heading,
    Line,
    Metric,
    RunFilter,
    TableRow,
    arrange,
    better,
    check_column,
    flatten,
    format_value,
    main_metric,
    starts_descending,
    survey,
    title,
    varied,
)
from genui.runs.table_state import TableState


def row(
    name: str,
    config: dict[str, object] | None = None,
    tags: tuple[str, ...] = (),
    state: str = "finished",
    **metrics: float,
) -> TableRow:
    """A run with the last values of its metrics, of which the best are a little better."""
    run = RunSummary(
        RunDir(Path("/runs") / name),
        RunInfo(id=name, name=name, recipe={}),
        Status(state="finished", step=10),
        state,
        age=30.0,
        labels=Labels(tags=tags),
    )
    measured = {
        key: Metric(value, value + 0.1 * better(key) if better(key) else math.nan, 5)
        for key, value in metrics.items()
    }
    return TableRow(run, measured, flatten(config or {}))


SWEEP = [
    row("run-1", {"lr": 1e-3, "optimizer": {"name": "adam", "beta": 0.9}}, val_loss=2.0, acc=0.3),
    row("run-2", {"lr": 3e-4, "optimizer": {"name": "sgd"}}, ("wide",), val_loss=1.0, acc=0.5),
    row("run-10", {"lr": 1e-5}, ("wide", "old"), "failed", val_loss=1.4, acc=0.9),
    row("other", val_loss=math.nan),
]


def names(lines: list[Line]) -> list[str]:
    return [line.text if isinstance(line, Heading) else line.run.info.name for line in lines]


def matching(text: str) -> list[str]:
    return names(arrange(SWEEP, TableState(filter=text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["run-1", "run-2", "run-10", "other"]),
        ("run-1", ["run-1", "run-10"]),
        ("run-1$", ["run-1"]),
        ("/^run-\\d$/", ["run-1", "run-2"]),
        ('"run-1$"', []),
        ("lr>1e-4 and val_loss<1.5", ["run-2"]),
        ("lr>1e-4 val_loss<1.5", ["run-2"]),
        ("lr>0.1k or state=failed", ["run-10"]),
        ("state:failed", ["run-10"]),
        ("1e-4 < lr < 1e-3", ["run-2"]),
        ("1e-4<lr<=1e-3", ["run-1", "run-2"]),
        ("lr=3e-4", ["run-2"]),
        ("lr!=3e-4", ["run-1", "run-10"]),
        ("tag:wide", ["run-2", "run-10"]),
        ("tag:wide and not tag:old", ["run-2"]),
        ("!(tag:wide) run", ["run-1"]),
        ("has:beta", ["run-1"]),
        ("not has:lr", ["other"]),
        ("optimizer.name=SGD", ["run-2"]),
        ("optimizer.name~^a", ["run-1"]),
        ("optimizer.name!~^a", ["run-2"]),
        ("best.val_loss<0.95", ["run-2"]),
        ("last.val_loss<0.95", []),
        ("best.acc>=100%", ["run-10"]),
        ("val_loss=nan", ["other"]),
        ("age<1min", ["run-1", "run-2", "run-10", "other"]),
        ("age>1h", []),
        ("beta>0 | tag:old", ["run-1", "run-10"]),
        ("name:other", ["other"]),
    ],
)
def test_a_filter_matches_names_tags_config_and_metrics(text: str, expected: list[str]) -> None:
    assert matching(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lr>", "'lr >' needs a value"),
        ("lr>fast", "'lr >' needs a number, not 'fast'"),
        ("(lr>1", "')' is missing"),
        ("lr>1)", "')' without '('"),
        ("a and", "ends too early"),
        ("tag:", "'tag:' needs a word"),
        ("> 1", "'>' needs something before it"),
        ("/(/", "'(' is not a regular expression"),
        ("name='x", "quotation mark is not closed"),
        ("(" * 99, "too many parentheses"),
    ],
)
def test_a_text_that_is_no_filter_is_one_line(text: str, why: str) -> None:
    with pytest.raises(MisuseError) as error:
        RunFilter(text)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


_PIECES = st.sampled_from(
    ["lr", "val_loss", ">", "<=", "=", "!~", "~", "(", ")", "and", "or", "not", "!", "|", "&&",
     "tag:", "has:", "/", "'", '"', "1e-4", "10k", "nan", "[", "\\", ":", "\x00", "é", " "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=20).map(" ".join)))
def test_any_text_is_a_filter_or_a_misuse(text: str) -> None:
    with suppress(MisuseError):
        filter = RunFilter(text)
        assert {filter.matches(row) for row in SWEEP} <= {True, False}


def test_rows_are_sorted_as_numbers_with_those_without_a_value_last() -> None:
    def by(key: str, descending: bool = False) -> list[str]:
        return names(arrange(SWEEP, TableState(sort=key, descending=descending)))

    assert by("val_loss") == ["run-2", "run-10", "run-1", "other"]
    assert by("val_loss", descending=True) == ["run-1", "run-10", "run-2", "other"]
    assert by("best.acc", descending=True) == ["run-10", "run-2", "run-1", "other"]
    assert by("curve.val_loss") == by("last.val_loss") == by("val_loss")
    assert by("lr") == ["run-10", "run-2", "run-1", "other"]
    assert by("name") == ["other", "run-1", "run-2", "run-10"]
    assert by("") == ["run-1", "run-2", "run-10", "other"]


def test_pinned_rows_stay_on_top_and_the_rest_is_grouped_the_best_group_first() -> None:
    state = TableState(sort="val_loss", group="tags", pins=("/runs/other",), filter="run")
    assert names(arrange(SWEEP, state)) == [
        "other", "tags wide", "run-2", "tags wide old", "run-10", "no tags", "run-1",
    ]  # fmt: skip


def test_the_first_columns_are_the_main_metric_and_what_differs() -> None:
    assert main_metric(SWEEP) == "val_loss"
    columns = survey(SWEEP).columns
    assert columns[:2] == ["best.val_loss", "val_loss"]
    assert {"lr", "optimizer.name", "best.acc"} <= set(columns)
    same = [row("a", {"lr": 1.0, "seed": 1}, loss=1.0), row("b", {"lr": 1.0, "seed": 2}, loss=2.0)]
    assert "seed" in survey(same).columns
    assert "lr" not in survey(same).columns
    script = row("script", {"project": "demo"})
    config = {f"fixed{n}": n for n in range(20)}
    rows = [script, *(row(f"r{n}", {**config, "seed": n}, val_bpc=n, val_loss=n) for n in (1, 2))]
    assert varied(rows)[0] == "seed"  # and not what the script does not have
    assert "seed" in survey(rows).columns
    assert main_metric(rows) == "val_loss"


def test_a_metric_that_the_config_names_too_has_a_column_of_its_own() -> None:
    rows = [row("a", {"lr": 1.0}, lr=0.5, loss=1.0), row("b", {"lr": 2.0}, lr=0.25, loss=1.0)]
    assert [rows[0].get(key) for key in ("lr", "last.lr", "config.lr")] == [1.0, 0.5, 1.0]
    assert {"lr", "last.lr"} <= set(survey(rows).columns)


def test_what_the_config_has_beside_the_run_is_named_so_and_units_are_no_column() -> None:
    configs = ({"name": "quick", "lr": 1.0}, {"printed units": "loss", "lr": 2.0})
    rows = [row(f"run-{n}", {**flatten(config)}, loss=1.0) for n, config in enumerate(configs)]
    rows.append(row("piped", {**flatten({"printed units": {"acc": "%"}})}, loss=1.0))
    heads = [title(column) for column in survey(rows).columns]
    assert [head for head in heads if head in ("name", "config name")] == ["config name"]
    assert heads.index("lr") < heads.index("config name")
    assert not any("printed" in head for head in heads)


@pytest.mark.parametrize(
    ("metric", "sense"),
    [
        ("val_loss", -1), ("eval/perplexity", -1), ("bpb", -1), ("accuracy", 1), ("val_acc", 1),
        ("metrics/mAP50", 1), ("rollout/ep_rew_mean", 1), ("lr", 0), ("epoch", 0), ("place", 0),
    ],
)  # fmt: skip
def test_what_is_better_is_known_by_name(metric: str, sense: int) -> None:
    assert better(metric) == sense
    assert starts_descending(f"best.{metric}") == (sense > 0)


def test_a_column_that_no_run_has_names_the_nearest() -> None:
    assert check_column("optimizer.beta", SWEEP) == "optimizer.beta"
    with pytest.raises(MisuseError, match="no run has 'val_los': did you mean 'val_loss'"):
        check_column("val_los", SWEEP)


def test_numbers_are_shown_short() -> None:
    cells = [format_value("lr", value) for value in (3e-4, 0.1, 12345, 1.23456789, 1e-05, math.nan)]
    assert cells == ["0.0003", "0.1", "12,345", "1.235", "1e-05", "NaN"]

import numpy as np
import pytest
from rich.cells import cell_len

from genui.render.chart import StyledText, build_legend, choose_sign, draw_chart, strip_shared_words
from genui.render.series import ChartLine, Fault, Look

STEPS = np.arange(3)


def runs(*names: str) -> list[ChartLine]:
    return [ChartLine(name, STEPS, np.ones(3)) for name in names]


def text(parts: list[StyledText]) -> str:
    return "".join(word for word, _ in parts)


def test_eight_series_have_eight_signs() -> None:
    assert len({choose_sign(hue) for hue in range(8)}) == 8


def test_a_legend_names_signs_faults_and_what_was_rewritten() -> None:
    parts = build_legend(runs("a", "b"), Fault.NAN | Fault.BELOW, rewritten=True)
    assert text(parts) == "━ a  ◆ b  ✗ NaN  ▼ -∞  ↺ written again"


def test_a_legend_tells_values() -> None:
    assert text(build_legend(runs("a", "b"), readings={"a": 1.7123})) == "━ a 1.712  ◆ b –"


def test_a_run_has_one_hue_and_its_held_out_data_are_dashed() -> None:
    x = np.arange(400.0)
    traces = [
        ChartLine("mine", x, np.full(400, 1.0), look=Look(0)),
        ChartLine("mine val", x[::50], np.full(8, 2.0), "marks", look=Look(0, dashed=True)),
        ChartLine("icons", x, np.full(400, 3.0), look=Look(1)),
        ChartLine("icons val", x, np.full(400, 4.0), look=Look(1, dashed=True)),
    ]
    legend = build_legend(traces)
    assert text(legend) == "━ mine  ╌+ mine val  ◆ icons  ╌◆ icons val"
    assert [style for _, style in legend if style != "label"] == [
        *("series-1", "series-1", "series-2", "series-2")
    ]
    chart = draw_chart(traces, 80, 30, with_legend=False)
    assert chart is not None
    gaps = {}  # of each line, in the cells between its signs
    for value, line in ((frame_row, chart.lines[frame_row]) for frame_row in range(28)):
        dots = "".join(part for part, style in line if style.startswith("series"))
        if dots:
            gaps[value] = sum("\u2800" < char <= "\u28ff" for char in dots)
    solid, dashed = sorted(gaps.values())[2:], sorted(gaps.values())[:2]
    assert len(gaps) == 4
    assert max(dashed) < min(solid)


@pytest.mark.parametrize("width", [4, 8, 11])
def test_a_legend_without_room_for_names_has_the_signs(width: int) -> None:
    assert text(build_legend(runs("first", "second", "third"), width=width)) == "━  ◆  ●"


@pytest.mark.parametrize("width", [24, 30, 40, 60])
def test_a_narrow_legend_still_tells_series_apart(width: int) -> None:
    names = ["plays-20261125-a/train", "plays-20261125-b/train", "plays-20261125-c/train"]
    drawn = text(build_legend(runs(*names), Fault.NAN, width=width))
    assert cell_len(drawn) <= width
    assert [sign for sign in "━◆●✗" if sign in drawn] == list("━◆●✗")
    assert all(f" {letter}" in drawn for letter in "abc")


def test_values_are_left_out_before_names_are() -> None:
    readings = dict.fromkeys("abcdefgh", 1.0)
    assert "1.000" in text(build_legend(runs(*"abcdefgh"), readings=readings, width=86))
    assert "1.000" not in text(build_legend(runs(*"abcdefgh"), readings=readings, width=42))
    names = ["generator", "discriminator"]
    drawn = text(build_legend(runs(*names), readings=dict.fromkeys(names, 0.7), width=36))
    assert drawn == "━ generator  ◆ discriminator"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["run-1/loss", "run-2/loss"], ["1", "2"]),
        (["train/loss", "val/loss"], ["train", "val"]),
        (["loss", "loss/val"], ["loss", "loss/val"]),
        (["a", "a"], ["a", "a"]),
        (["only"], ["only"]),
    ],
)
def test_names_are_cut_to_what_tells_them_apart(names: list[str], short: list[str]) -> None:
    assert strip_shared_words(names) == short

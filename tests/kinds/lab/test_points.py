"""Points of the user's own: a CSV read, refused in one line, and brought into the plane."""

import math
import os
from pathlib import Path

import pytest
from file_checks import check_reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genui.base.errors import GenuiError, MisuseError
from genui.kinds.lab import points
from genui.kinds.lab.messages import EDGE
from genui.kinds.lab.points import (
    MAX_BYTES,
    MAX_CLASSES,
    MAX_POINTS,
    Point,
    fit_to_plane,
    from_text,
    is_points,
    read_csv,
    to_text,
)


def read(tmp_path: Path, content: str | bytes) -> list[Point]:
    file = tmp_path / "points.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_csv(file)


@pytest.mark.parametrize(
    "content",
    [
        "1,2\n3,4\n",
        "x,y\n1,2\n3,4\n",
        "x;y\n1;2\n3;4",
        "x\ty\r\n1\t2\r\n3\t4\r\n",
        "\ufeffx,y\n\n 1 , 2 \n\n3,4\n",
        "# from the telescope\nx,y\n1,2\n3,4\n# genui-recipe: {}\n",
        '# a; b\nx,y\n1,2\n3,4\n# genui-recipe: {"format":1,"model":"lab:flow"}\n',
    ],
)
def test_two_columns_are_points_of_one_class(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == [Point(1, 2), Point(3, 4)]


def test_a_third_column_is_a_class_by_any_name(tmp_path: Path) -> None:
    found = read(tmp_path, "x,y,kind\n1,2,cat\n3,4,dog\n5,6,cat\n")
    assert [point.label for point in found] == [0, 1, 0]
    numbered = read(tmp_path, "1,2,3\n3,4,1\n")
    assert [point.label for point in numbered] == [3, 1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "has no points"),
        ("\n\n", "has no points"),
        ("x,y\n", "has no points"),
        ("1,2\n", "has one point"),
        ("1,2\n1,2\n", "all its points are at one place"),
        ("1,2\n3,cat\n", "line 2: '3, cat' is no point"),
        ("1,2\n3,\n", "line 2: '3, ' is no point"),
        ("1,2\nnan,3\n", "line 2: 'nan, 3' is no point"),
        ("1,2\n3,inf\n", "is no point"),
        ("1,2\n3,1e300\n", "is no point; .* up to 1e\\+09"),
        ("1\n2\n", "line 1: '1' is no point"),
        ("1,2,3,4\n5,6,7,8\n", "line 1: '1, 2, 3, 4' is no point"),
        ("1,2\n3,4,5,6\n", "line 2: "),
        ("1,2,a\n1,3,b\n1,4,c\n1,5,d\n1,6,e\n", f"has 5 classes; give {MAX_CLASSES} at most"),
        ('1,2\n"3,4\n', "is not a CSV file"),
        ("hello there, this is a letter\nnot points at all\n", "line"),
        (b"\xff\xfe1\x00", "is not text"),
        (b"\x00\x01\x02", "has no points"),
        (b"1\x00,2\n3,4", "line 1|is no"),
        ("1,2\n" * (MAX_POINTS + 1), "has 5,001 points"),
        (b"1" * (MAX_BYTES + 1), "is over 4 MB"),
    ],
)
def test_what_is_no_points_is_one_line_with_the_file(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    with pytest.raises(MisuseError, match=said) as fault:
        read(tmp_path, content)
    assert "\n" not in str(fault.value)
    assert str(tmp_path / "points.csv") in str(fault.value)


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no such file"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(MisuseError, match="is a folder"):
        read_csv(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_text("1,2\n3,4\n")
    file.chmod(0)
    with pytest.raises(GenuiError, match="cannot be read"):
        read_csv(file)


def test_a_disk_that_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "points.csv"
    file.write_text("1,2\n3,4\n")

    def refused(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("genui.base.files.os.open", refused)
    with pytest.raises(GenuiError, match=r"points.csv: cannot be read \(permission denied\)"):
        read_csv(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300) | st.text(alphabet="0123456789.,-;e\nxna\t\"' ", max_size=200)
)
def test_any_file_gives_points_or_one_line(tmp_path: Path, content: bytes | str) -> None:
    fault, found = "", []
    try:
        found = read(tmp_path, content)
    except GenuiError as error:
        fault = str(error)
    assert len(found) >= 2 or len(fault.splitlines()) == 1
    assert all(math.isfinite(point.x) and math.isfinite(point.y) for point in found)
    assert all(0 <= point.label < MAX_CLASSES for point in found)


PLACES = st.floats(-1e6, 1e6).map(lambda value: float(f"{value:.6g}"))


@given(st.lists(st.builds(Point, PLACES, PLACES, st.integers(0, 3)), min_size=2, max_size=20))
def test_points_come_back_from_a_prompt_and_from_the_plane(points: list[Point]) -> None:
    if len({point[:2] for point in points}) < 2:
        return
    text = to_text(points)
    assert is_points(text)
    assert from_text(text) == points
    chosen = fit_to_plane(points)
    for point in points:
        x, y, _ = chosen.place(point)
        assert max(abs(x), abs(y)) <= EDGE
        assert chosen.to_data(x, y) == pytest.approx(point[:2], rel=1e-6, abs=1e-6 * chosen.scale)


def test_points_in_the_plane_stay_where_they_are() -> None:
    assert fit_to_plane([Point(-0.5, 0.2), Point(0.5, 1.2)]).scale == 1


def test_names_of_data_are_no_points() -> None:
    assert not is_points("two moons")


def test_points_are_read_from_a_regular_file_alone(tmp_path: Path) -> None:
    check_reader(tmp_path / "points.csv", points.read_csv, points.MAX_BYTES)

"""The Lab's plane in cells and pixels: each layer with a mark of its own, in its place."""

import numpy as np

from genui.kinds.lab import scene as plane
from genui.kinds.lab.scene import (
    ARROWS,
    CURSOR,
    LOOKS,
    SAMPLES,
    SHADES,
    PlaneCells,
    Scene,
    draw,
    draw_image,
    find_boundary,
    fit_plane,
    interpolate,
)

EMPTY = Scene()


def text(cells: PlaneCells, row: int) -> str:
    return cells.codes[row].astype("<u4").tobytes().decode("utf-32-le")


def look(cells: PlaneCells, row: int, column: int) -> str:
    return LOOKS[int(cells.looks[row, column])]


def places(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float).reshape(-1, 2)


def test_the_plane_is_a_square_of_cells_twice_as_high_as_wide() -> None:
    assert fit_plane(100, 20) == (40, 20)
    assert fit_plane(30, 40) == (30, 15)
    assert fit_plane(1, 1) == (2, 1)


def test_data_have_a_mark_a_class_where_they_lie() -> None:
    scene = Scene(data=places((0.05, 0.95), (0.95, 0.05)), classes=np.array([0, 1], np.uint8))
    cells = draw(scene, 10, 5)
    assert text(cells, 0)[0] == "+"
    assert text(cells, 4)[9] == "×"
    assert look(cells, 4, 9) == "data-2"


def test_the_class_that_has_most_points_marks_the_cell() -> None:
    same = places((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))
    cells = draw(Scene(data=same, classes=np.array([2, 2, 0], np.uint8)), 1, 1)
    assert text(cells, 0) == "○"


def test_samples_are_dots_and_those_beyond_the_edge_are_not_at_it() -> None:
    cells = draw(Scene(samples=places((0.25, 0.875), (1.0, 0.5), (0.0, 0.5))), 1, 1)
    assert text(cells, 0) == chr(0x2801)
    assert look(cells, 0, 0) == "samples"


def test_arrows_point_one_of_eight_ways_and_short_ones_are_points() -> None:
    ways = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]) * 0.1
    starts = places(*((0.5, 0.5) for _ in ways))
    for way, sign in zip(ways, ARROWS, strict=True):
        arrows = np.stack([starts[:1] - way / 2, starts[:1] + way / 2], axis=1)
        assert sign in text(draw(Scene(arrows=arrows), 3, 3), 1)
    still = np.stack([starts[:1], starts[:1] + 0.001], axis=1)
    assert "·" in text(draw(Scene(arrows=still), 3, 3), 1)


def test_a_surface_is_a_ground_and_without_colours_a_character() -> None:
    ramp = np.tile(np.linspace(0, 1, 8), (8, 1))
    shaded = draw(Scene(surface=ramp), 8, 4)
    assert shaded.ground[0].tolist() == sorted(shaded.ground[0].tolist())
    assert shaded.ground.max() == SHADES - 1
    assert text(shaded, 0).strip() == ""
    plain = draw(Scene(surface=ramp), 8, 4, shaded=False)
    assert text(plain, 0)[0] == " "
    assert text(plain, 0)[-1] == "▓"
    assert plain.ground.max() == 0


def test_a_boundary_runs_where_another_class_is_likelier() -> None:
    left = np.tile(np.linspace(1, 0, 16), (16, 1))
    chances = np.stack([left, 1 - left])
    edge = find_boundary(chances, 32, 16)
    assert edge.any(axis=1).all()
    assert set(np.flatnonzero(edge.any(axis=0)).tolist()) <= {15, 16}
    cells = draw(Scene(chances=chances), 16, 4)
    assert (cells.looks == LOOKS.index("boundary")).any(axis=1).all()
    assert cells.ground[0, 0] // SHADES == 0
    assert cells.ground[0, -1] // SHADES == 1
    plain = text(draw(Scene(chances=chances), 16, 4, shaded=False), 0)
    assert plain[0] == " "
    assert plain[-1] == "░"


def test_the_cursor_is_over_everything() -> None:
    cells = draw(Scene(samples=places((0.5, 0.5))), 1, 1, cursor=(0.5, 0.5))
    assert text(cells, 0) == CURSOR


def test_a_grid_is_looked_up_between_its_middles() -> None:
    values = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert interpolate(values, 4, 1)[0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_layers_can_be_left_out() -> None:
    scene = Scene(samples=places((0.5, 0.5)), surface=np.ones((2, 2)))
    assert scene.without("surface").surface is None
    assert len(scene.without("surface").samples) == 1
    assert len(scene.without("samples").samples) == 0


def test_bytes_become_shares_and_grids() -> None:
    data = np.array([0, 65535, 65535, 0], "<u2").tobytes()
    assert plane.decode_places(data).tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert plane.decode_arrows(data).tolist() == [[[0.0, 1.0], [1.0, 0.0]]]
    assert plane.decode_grid(b"", 3) is None
    assert plane.decode_grid(bytes([0, 255, 255, 0]), 2).tolist() == [[0, 1], [1, 0]]  # type: ignore[union-attr]


def test_an_image_has_samples_where_they_are() -> None:
    drawn = draw_image(Scene(samples=places((0.25, 0.75))), side=40)
    assert drawn.shape == (40, 40, 3)
    assert tuple(drawn[10, 10]) == SAMPLES
    assert tuple(drawn[30, 30]) != SAMPLES

"""What figures and tables do with numbers and names, apart from any page."""

import csv
import io
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixlaw.report.figures.choice import Measured, on_any_ground, over_tokens
from mixlaw.report.figures.coverage import _flat, grid_of_triangle, mixtures_sampled
from mixlaw.report.figures.fits import residuals
from mixlaw.report.page import Column, Section, Table, render
from mixlaw.report.style import LONG, MARKERS, NAMED, drawn, fitting, shortened, styled


@given(st.text(max_size=200))
def test_a_shortened_name_fits_and_keeps_its_ends(name: str) -> None:
    short = shortened(name)
    assert len(short) <= LONG
    assert short == name or (name.startswith(short.split("…")[0]) and name.endswith(short[-5:]))


def test_the_corners_of_the_triangle_are_the_domains_alone_and_equally_far_apart() -> None:
    x, y = _flat(np.eye(3))
    sides = [np.hypot(x[a] - x[b], y[a] - y[b]) for a, b in ((0, 1), (1, 2), (2, 0))]
    assert sides == pytest.approx([1, 1, 1])
    centre = _flat(np.full((1, 3), 1 / 3))
    assert (float(centre[0][0]), float(centre[1][0])) == pytest.approx((x.mean(), y.mean()))


def test_the_grid_of_the_triangle_is_made_of_mixtures() -> None:
    grid = grid_of_triangle(8)
    assert len(grid) == 9 * 10 / 2 and (grid >= 0).all() and np.allclose(grid.sum(axis=1), 1)


def test_a_figure_has_no_ground_no_date_and_no_element_id_that_a_page_has_twice() -> None:
    with styled():
        text = drawn(mixtures_sampled(["a", "b"], np.array([[0.4, 0.6]]), {}))
    assert "metadata" not in text and 'id="figure_1"' not in text and "dc:date" not in text
    assert "fill: #ffffff" not in text


def test_a_figure_is_the_same_to_the_last_byte_when_it_is_drawn_again() -> None:
    def once() -> str:
        with styled():
            return drawn(mixtures_sampled(["a", "b"], np.array([[0.4, 0.6]]), {"natural": np.array([0.5, 0.5])}))

    assert once() == once()


def test_names_are_text_and_not_formulas_or_elements() -> None:
    with styled():
        text = drawn(mixtures_sampled(["$x_1$", "</svg><script>"], np.array([[0.4, 0.6]]), {}))
    assert ">$x_1$</text>" in text and "<script" not in text and text.count("</svg>") == 1


def test_a_figure_shrinks_with_the_page_and_grows_to_its_limit() -> None:
    assert fitting('<svg height="72pt" width="100pt"', 1.5).startswith("<svg height")
    svg = '<svg version="1.1" width="100pt" height="72pt" x="0"'
    assert fitting(svg, 1.5) == '<svg version="1.1" style="max-width: 150.0pt" x="0"'
    assert fitting(svg, 1.5, 0.6) == '<svg version="1.1" style="min-width: 60.0pt; max-width: 150.0pt" x="0"'


def test_the_figure_for_a_readme_reads_on_light_and_on_dark_ground() -> None:
    with styled():
        text = drawn(on_any_ground([Measured("optimum", 3.0, 2.9, 3.1, (2.95, 2.97))]))
    assert "#1b1f24" not in text and "fill: #ffffff" not in text and "#000000" not in text


def test_moving_proportions_are_drawn_as_layers_the_smallest_as_one() -> None:
    moving = np.random.default_rng(0).dirichlet(np.ones(12), 5)
    with styled():
        text = drawn(over_tokens([f"d{n}" for n in range(12)], np.arange(1.0, 6.0), moving))
    assert "5 more" in text


def test_the_farthest_run_outside_its_interval_is_named_within_the_figure_and_no_other() -> None:
    left = np.array([[0.5, -0.1, 0.0], [-0.2, 0.1, 0.05], [0.1, 0.3, 0.02]])
    half = np.array([[0.9, 0.2, 0.1], [0.1, 0.2, 0.1], [0.05, 0.2, 0.1]])
    with styled():
        figure = residuals(["first", "second", "third"], left, half, ["wide-of-zero", "b" * 40, "c"])
        figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [(note.get_text()[:1], note.xy) for note in axes.texts] == [("b", (-0.2, 0)), ("c", (0.3, 1))]
    ends = axes.get_window_extent()
    for note in axes.texts:
        assert ends.x0 <= note.get_window_extent().x0 and note.get_window_extent().x1 <= ends.x1
    labels = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
    assert all(one.x1 + 4 < other.x0 for one, other in pairwise(labels))


def test_what_an_earlier_section_has_said_is_not_said_again() -> None:
    sections = [
        Section("one", warnings=["few runs"]),
        Section("two", points=["few runs", "new"], warnings=["few runs"]),
    ]
    page = render("t", [], sections)
    assert page.count("few runs") == 1 and page.count("<li>new</li>") == 1


def test_a_first_column_has_room_for_its_names_and_a_broad_table_is_not_printed() -> None:
    table = Table.of([Column("domain"), Column("share", ".1f")], [["web", 0.1], ["code", 0.2]])
    assert (table.room, table.broad) == (7, False)
    assert Table([Column("domain")], [["x" * 200]]).room == 18
    assert Table([Column("n")] * 13, [["1"] * 13], "many").broad
    page = render("t", [], [Section("s", tables=[Table([Column("n")] * 13, [["1"] * 13] * 30, "many")])])
    assert '<details class="broad"><summary>many (30 rows)' in page


def test_a_table_is_copied_with_every_digit_and_without_blank_columns() -> None:
    columns = [Column("name"), Column("loss", ".2f"), Column("empty", ".2f"), Column("loss", ".1f")]
    table = Table.of(columns, [['a,"b"', 1 / 3, None, 2.0], ["c", float("nan"), None, 1e-17]])
    rows = list(csv.reader(io.StringIO(table.csv)))
    assert rows == [["name", "loss", "loss"], ['a,"b"', repr(1 / 3), "2.0"], ["c", "", "1e-17"]]
    assert table.shown == [['a,"b"', "0.33", "2.0"], ["c", "", "0.0"]]


def test_a_long_table_opens_only_when_asked_for() -> None:
    rows = [[str(n)] for n in range(100)]
    page = render("t", [], [Section("s", tables=[Table.of([Column("n")], rows, "numbers")])])
    assert "<summary>numbers (100 rows)</summary>" in page


VISION = {
    "any": np.eye(3),
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "without blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""What linear red, green and blue look like (Machado, Oliveira & Fernandes 2009, doi 10.1109/TVCG.2009.113)."""


def seen(colour: str, vision: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """A colour in CIE Lab, where a distance of 2 or 3 is just noticed side by side."""
    light = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    scaled = np.array(to_xyz) @ linear / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(scaled > 216 / 24389, np.cbrt(scaled), (24389 / 27 * scaled + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_mixtures_are_told_apart_by_colour_with_any_vision_and_by_shape_without(vision: str) -> None:
    for first, second in combinations(NAMED.values(), 2):
        assert np.linalg.norm(seen(first, vision) - seen(second, vision)) > 15, (first, second)
    assert len(set(MARKERS.values())) == len(NAMED)

"""How a name matches what is typed."""

import pytest

from genui.ui.matching import Match, find_typed, match_name


@pytest.mark.parametrize(
    ("typed", "name", "about", "match"),
    [
        ("icons", "Icons", "", Match.NAME),
        ("open", "Open model icons", "", Match.BEGINNING),
        ("icons", "Open model icons", "", Match.WORDS),
        ("icons open", "Open model icons", "", Match.WORDS),
        ("mod ico", "Open model icons", "", Match.BEGINNINGS),
        ("con", "Open model icons", "", Match.INSIDE),
        ("walk", "Open model fashion-gan", "Walk, GAN", Match.ELSEWHERE),
        ("gan walk", "Open model fashion-gan", "Walk", Match.ELSEWHERE),
        ("omi", "Open model icons", "", Match.ABBREVIATION),
        ("modelicons", "Open model icons", "", Match.ABBREVIATION),
        ("theme", "Temperature of the model", "", Match.NONE),
        ("light", "Play the next", "highlighted", Match.NONE),
        ("", "Icons", "", Match.NONE),
        (" ", "Icons", "", Match.NONE),
        ("x", "", "", Match.NONE),
    ],
)
def test_a_match_is_of_a_kind(typed: str, name: str, about: str, match: Match) -> None:
    assert match_name(typed, name, about) is match


def test_what_is_typed_is_found_in_a_name_at_the_beginning_of_a_word_first() -> None:
    assert find_typed("on icons", "Icons once on") == [(6, 8), (0, 5)]
    assert find_typed("con", "Icons") == [(1, 4)]
    assert find_typed("walk", "Icons") == []

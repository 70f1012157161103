"""What a fault says of the names that it knows."""

from genui.base.errors import did_you_mean

MANY = [f"name-{at:02}" for at in range(40)]


def test_a_near_name_is_proposed() -> None:
    assert did_you_mean("nmae-07", MANY, lists="genui names") == "did you mean 'name-07'?"


def test_a_short_list_is_given_and_of_a_long_one_how_to_list_it() -> None:
    assert did_you_mean("?", ["b", "a"], lists="genui names") == "known: a, b"
    text = did_you_mean("?", MANY, lists="genui names")
    assert text.endswith("name-09 and 30 more: genui names lists them")
    assert did_you_mean("?", MANY).endswith("name-09 and 30 more")
    assert did_you_mean("?", []) == "none is known"

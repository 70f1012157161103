"""The rule by which an example is unusual."""

import numpy as np

from genui.runs.recomputed import LIMIT, Example, Recomputed, judge


def rows(count: int) -> list[Example]:
    return [Example(row=row, source=f"row {row}") for row in range(count)]


def test_both_ends_are_named_and_healthy_examples_never() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        loss, others = np.exp(rng.normal(0.5, 0.1, 8)), np.exp(rng.normal(0.5, 0.1, 64))
        assert not any(each.cause for each in judge(rows(8), {"loss": loss}, {"loss": others}))
        loss[3], loss[5] = 6.0, 0.2
        first, second, *rest = judge(rows(8), {"loss": loss}, {"loss": others})
        assert {first.row, second.row} == {3, 5}
        by_row = {each.row: each.cause for each in (first, second)}
        assert by_row[3].startswith("far harder")
        assert by_row[5].startswith("far easier")
        assert not any(each.cause for each in rest)


def test_a_loss_at_some_sigma_is_compared_with_others_at_that_sigma() -> None:
    rng = np.random.default_rng(0)

    def draw(count: int) -> dict[str, np.ndarray]:
        sigma = np.exp(rng.normal(-0.5, 1.2, count))
        loss = np.exp(-(np.log(sigma) ** 2) / 4 + rng.normal(0, 0.1, count))
        return {"sigma": sigma, "loss": loss, "caption_effect": rng.normal(-0.1, 0.05, count)}

    own, others = draw(32), draw(64)
    once = {**own, "loss": own["loss"].copy()}
    once["loss"][2] *= 20  # by chance: not with other noise
    again = [{name: own[name][[2]] for name in own} for _ in range(4)]
    assert not any(each.cause for each in judge(rows(32), once, others, lambda _: again))
    assert not any(each.cause for each in judge(rows(32), own, others))
    own["caption_effect"][4] = 1.0
    own["caption_effect"][6] = -1.0  # a caption that helps a lot is no fault
    own["loss"][9] *= 8
    causes = {each.row: each.cause for each in judge(rows(32), own, others) if each.cause}
    assert causes.keys() == {4, 9}
    assert "wrong caption" in causes[4]
    assert "at its σ" in causes[9]


def test_a_loss_that_is_no_number_is_the_most_unusual() -> None:
    others = {"loss": np.linspace(1, 2, 64)}
    first, *_ = judge(rows(3), {"loss": np.array([1.2, np.nan, 1.4])}, others)
    assert first.row == 1
    assert first.strangeness > LIMIT


def test_the_recomputed_loss_is_compared_with_the_logged_one() -> None:
    def found(loss: float | None, logged: float | None) -> str:
        return Recomputed(
            run="a", step=2, began=0, replayed=2, seconds=1, metrics={"loss": loss},
            logged={"loss": logged},
        ).agreement  # fmt: skip

    assert found(1.5, 1.5) == found(None, None) == "equal to the bit"
    assert found(1.5, 1.5001) == "relative difference 7e-05: as logged"
    assert found(1.5, 2.5).endswith("not the logged step")

"""How the settings of an image read in the inspector."""

from genui.protocol import ImageSettings


def shown(settings: ImageSettings) -> dict[str, str]:
    return {name: settings.show(name) for name in ("steps", "eta")}


def test_what_is_usual_is_not_spelled_out() -> None:
    lines = shown(ImageSettings(steps=12, eta=0.5))
    assert (lines["steps"], lines["eta"]) == ("12", "0.5")


def test_levels_chosen_on_the_shell_are_seen() -> None:
    lines = shown(ImageSettings(steps=20, sigma_min=0.01, rho=7, eta=0.5, s_tmin=0.3))
    assert lines["steps"] == "20, σ ≥ 0.01, ρ 7"
    assert shown(ImageSettings(steps=12, sigma_min=0.03))["steps"] == "12"  # the default of 12
    assert shown(ImageSettings(steps=3, sigma_min=0.03))["steps"] == "3, σ ≥ 0.03"
    assert lines["eta"] == "0.5 above σ 0.3"
    assert shown(ImageSettings(sampler="heun", s_tmin=1))["eta"] == "DPM++ and DDIM only"

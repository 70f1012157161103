"""A text network as a plug-in: one folder outside genui, trained, generating and replayed."""

from pathlib import Path

from plugin_site import Site, train

EXAMPLE = Path(__file__).with_name("plugin_lstm")
SMALL = ("batch=4", "width=32", "layers=1", "context=32", "device=cpu", "threads=1")


def test_a_network_of_a_plug_in_is_trained_writes_and_is_replayed(tmp_path: Path) -> None:
    site = Site(EXAMPLE, tmp_path)
    words = ("generate", "mine", "--prompt", "ROMEO:", "--tokens", "8", "--seed", "1")
    recipes, *_, models = site.genui(
        ["recipes"], train("plays-lstm", 2, SMALL), [*words, "--out", "a.txt"], ["models"]
    )
    assert "plays-lstm" in recipes
    assert "lstm" in models
    assert site.genui(["replay", "a.txt"]) == ["identical\n"]  # in another process

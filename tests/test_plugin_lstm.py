"""A text network as a plug-in: one folder outside genui, trained, generating and replayed."""

from pathlib import Path

from plugin_site import Site, train

EXAMPLE = Path(__file__).with_name("plugin_lstm")
SMALL = (
    "batch=4", "width=32", "layers=1", "context=32", "sample_tokens=2", "data=plays.txt",
    "device=cpu", "threads=1",
)  # fmt: skip


def test_a_network_of_a_plug_in_is_trained_writes_and_is_replayed(tmp_path: Path) -> None:
    site = Site(EXAMPLE, tmp_path)
    (tmp_path / "plays.txt").write_text("ROMEO: to be or not to be\n" * 100)
    words = ("generate", "mine", "--prompt", "ROMEO:", "--tokens", "8", "--seed", "1")
    recipes, *_, models, replayed = site.genui(
        ["recipes"], train("plays-lstm", 2, SMALL), [*words, "--out", "a.txt"], ["models"],
        ["replay", "a.txt"],
    )  # fmt: skip
    assert "plays-lstm" in recipes
    assert "lstm" in models
    assert replayed == "identical\n"

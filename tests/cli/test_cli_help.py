"""`genui help`: topics, pages, generated pages and passages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console
from rich.markdown import Markdown

import genui
from genui.base.manual import GENERATED, Page
from genui.cli.main import COMMANDS, main
from genui.protocol import manual
from genui.protocol.kinds import KINDS, Kind
from genui.protocol.manual import add_settings_tables
from genui.ui.keys import list_keys

Capture = pytest.CaptureFixture[str]


def test_the_topics_are_the_pages_there_are(capsys: Capture) -> None:
    package = Path(genui.__file__).parent
    written = {*package.glob("help/*.md"), *package.glob("kinds/*/help.md")}
    listed = {page.path for topic, page in manual.list_pages().items() if topic != "keys"}
    assert listed == written - {package / "help" / "index.md"}
    assert main(["help"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == list(manual.topics())
    assert all(len(row) <= 80 for row in rows)


@pytest.mark.parametrize("topic", manual.topics())
def test_every_topic_is_printed_and_can_be_drawn(topic: str, capsys: Capture) -> None:
    assert main(["help", topic]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ")
    assert "\x1b" not in text
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(Markdown(text))
    assert len(console.export_text().splitlines()) > 5


def test_the_page_of_keys_has_every_key(capsys: Capture) -> None:
    assert main(["help", "keys"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for key in list_keys():
        assert f" {key.id} {key.tooltip}" in text


def test_the_page_of_commands_has_every_command_and_option(capsys: Capture) -> None:
    assert main(["help", "commands"]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS.summaries():
        part = text.partition(f"\n## genui {name}\n")[2].partition("\n## ")[0]
        options = COMMANDS.parser(name)._option_string_actions
        assert [option for option in options if option not in part] == [], name


def test_a_command_that_is_no_topic_has_its_part_of_the_page(capsys: Capture) -> None:
    assert main(["help", "generate"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("## genui generate")
    assert "--guidance" in text
    examples = [line for line in text.splitlines() if line.strip().startswith("genui generate ")]
    assert len(set(examples)) == len(examples)
    assert " ".join(text.split()).count("steps of the walk (1 to 1,000)") == 1  # of two kinds
    assert "## genui compare" not in text


def test_a_kind_brings_its_page(
    marks: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main(["help"]) == 0
    assert "marks on paper" in capsys.readouterr().out
    assert main(["help", "marks"]) == 0
    assert capsys.readouterr().out.endswith("see `genui help images` and clay, too.\n")
    lost = replace(marks, help=Page("marks", "marks on paper", tmp_path / "help.md"))
    monkeypatch.setattr(manual, "KINDS", {("pen", "marks"): lost})
    assert main(["help", "marks"]) == 1
    assert capsys.readouterr().err.startswith(f"genui: {tmp_path}/help.md: this page of the manual")


def test_without_the_kinds_no_page_links_to_theirs(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    gone = {kind.topic for kind in KINDS.values() if isinstance(kind.help, Page)}
    monkeypatch.setattr(manual, "KINDS", {})
    assert gone
    assert gone.isdisjoint(manual.topics())
    for topic in {*manual.topics()} - {*GENERATED}:
        assert main(["help", topic]) == 0
        linked = re.findall(r"`genui help ([\w-]+)`", capsys.readouterr().out)
        assert gone.isdisjoint(linked), topic


def test_an_unknown_topic_is_one_line_with_a_near_name(capsys: Capture) -> None:
    assert main(["help", "imagse"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("genui: no topic 'imagse': did you mean 'images'?; genui help lists them\n")


def test_search_finds_passages_with_all_words(capsys: Capture) -> None:
    assert main(["help", "--search", "flush_secs"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("watching: Watching › Formats\n")
    assert "two minutes" in out
    assert main(["help", "--search", "GRID", "guidance"]) == 0
    passages = capsys.readouterr().out.casefold().strip().split("\n\n")
    assert len(passages) > 1
    assert all("grid" in passage and "guidance" in passage for passage in passages)


def test_search_finds_a_single_key_and_a_single_option(capsys: Capture) -> None:
    assert main(["help", "--search", "text.branches"]) == 0
    assert capsys.readouterr().out.count("text.") == 1
    assert main(["help", "--search", "--top-p"]) == 2  # an option, unless it is quoted
    assert capsys.readouterr().err.count("\n") == 1


def test_search_in_vain_is_one_line(capsys: Capture) -> None:
    assert main(["help", "--search", "xylophone"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "genui: help: no passage has all of 'xylophone'; genui help lists the topics\n"


def test_a_topic_and_a_search_are_not_both_taken(capsys: Capture) -> None:
    assert main(["help", "text", "--search", "fork"]) == 2
    assert capsys.readouterr().err == "genui: help: give a TOPIC or --search WORDS, not both\n"


def test_links_between_pages_are_commands_in_the_shell(marks: Kind, capsys: Capture) -> None:
    assert main(["help", "images"]) == 0
    out = capsys.readouterr().out
    assert ".md)" not in out
    assert "`genui help samplers`" in out
    assert main(["help", "marks"]) == 0  # which names the keys ] and [ before a link
    assert "`]` `[` take the next mark on the same paper; see `genui" in capsys.readouterr().out


@pytest.mark.parametrize("topic", sorted({*manual.topics()} - {*GENERATED}))
def test_a_page_is_printed_whole(topic: str, capsys: Capture) -> None:
    assert main(["help", topic]) == 0
    out = capsys.readouterr().out
    source = add_settings_tables(manual.list_pages()[topic].path.read_text("utf-8"))
    plain = re.sub(r"\[[\w-]+\]\((?:\.\./\.\./help/)?([\w-]+)\.md\)", r"`genui help \1`", source)
    assert out == plain


def test_reading_the_manual_imports_neither_textual_nor_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from genui.cli.main import main;"
        "main(['help', 'keys']); main(['help', 'commands']);"
        "print({'textual', 'torch'} & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "set()\n"

"""The README says what the code does."""

import re
from pathlib import Path

from genui.cli import COMMANDS
from genui.recipes import RECIPES
from genui.ui.keys import keys_markdown

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_table_of_keys_is_the_one_the_app_uses() -> None:
    between = README.partition("genui.ui.keys.keys_markdown() -->")[2].partition("<!-- /keys")[0]
    assert between.strip() == keys_markdown().strip(), "paste keys_markdown() between the marks"


def test_every_command_is_in_the_table_of_commands() -> None:
    section = README.partition("## Commands")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    assert [
        name for name in COMMANDS if f"`genui {name}" not in table and f"`{name}`" not in table
    ] == []


def test_its_examples_name_commands_and_recipes_that_exist() -> None:
    shell = "".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    commands = set(re.findall(r"(?<![./~\w])genui ([a-z]+)", shell))
    assert commands <= COMMANDS.keys()
    assert set(re.findall(r"genui train (\w+)", shell)) <= RECIPES.keys()
    assert {"train", "generate", "show", "inspect"} <= commands

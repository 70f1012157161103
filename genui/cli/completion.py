"""`genui completion`: completion of commands, options and names in bash, zsh and fish.

Each shell's script asks `genui completion words -- WORD …` for the candidates, so that models and
runs are those of now. The parsers of the commands know the rest.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from genui.base.config import Config
from genui.base.errors import GenuiError
from genui.base.late import late_imports
from genui.base.schema import settings_of
from genui.base.text import clean_line
from genui.cli.commands import Commands

with late_imports():
    from genui import recipes
    from genui.cli import help
    from genui.cli import options as cli_options
    from genui.hub import catalogue
    from genui.runs import listing, models
    from genui.ui import themes

_BASH = r"""_genui() {
    local IFS=$'\n' line word joined="" words=()
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do  # bash splits words at =
        if [[ $word == = || $joined ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        [[ $word == = ]] && joined=1 || joined=""
    done
    for line in $(genui completion words -- "${words[@]}" 2>/dev/null); do
        line=${line%%$'\t'*}
        [[ $line == *=?* ]] && line=${line#*=}
        COMPREPLY+=("$(printf %q "$line")")
    done
    [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}
complete -o bashdefault -o default -F _genui genui
"""
_ZSH = r"""#compdef genui
_genui() {
    local -a lines
    local tab=$'\t'
    lines=("${(@f)$(genui completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    lines=("${(@)lines//:/\\:}")
    lines=("${(@)lines/$tab/:}")
    if [[ "$lines[1]" == *=(|:*) ]]; then
        _describe genui lines -S ""
    elif [[ -n "$lines" ]]; then
        _describe genui lines
    else
        _files
    fi
}
compdef _genui genui
"""
_FISH = r"""function __genui_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (genui completion words -- $words[2..] 2>/dev/null)
    if test -n "$lines"
        printf '%s\n' $lines
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c genui -f -a '(__genui_complete)'
"""
SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

Candidates = Iterable[tuple[str, str]]
"""Words, each with a description or ""."""


def configure_completion(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Commands, options, models, runs, recipes and settings are completed.\n\n"
        "examples:\n"
        '  eval "$(genui completion bash)"      in ~/.bashrc\n'
        '  eval "$(genui completion zsh)"       in ~/.zshrc, after compinit\n'
        "  genui completion fish > ~/.config/fish/completions/genui.fish"
    )
    parser.add_argument(
        "shell", metavar="SHELL", choices=(*SCRIPTS, "words"), help=", ".join(SCRIPTS)
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run_completion(commands: Commands, args: argparse.Namespace) -> int:
    if args.shell in SCRIPTS:
        print(SCRIPTS[args.shell], end="")
        return 0
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    with suppress(GenuiError):  # a shell has no place for a message
        for word, text in complete(commands, words):
            print(f"{clean_line(word)}\t{clean_line(text, 60)}" if text else clean_line(word))
    return 0


def complete(commands: Commands, words: list[str]) -> list[tuple[str, str]]:
    """The candidates for the last of the words after `genui`; empty if it is a file or a value."""
    *before, current = words or [""]
    while before and before[0].startswith("-"):  # --plugin FILE
        before = before[2:] if "=" not in before[0] else before[1:]
    if not before:
        options = _options(commands.overall_parser()) if current.startswith("-") else ()
        return _beginning(current, [*commands.summaries().items(), *options])
    command, *before = before
    if command not in commands.summaries():
        return []
    action = _next_action(parser := commands.parser(command), before, current)
    if action is None:
        return _beginning(current, _options(parser))
    return _beginning(current, _values(commands, command, action, before, current))


def _beginning(current: str, candidates: Candidates) -> list[tuple[str, str]]:
    return [pair for pair in candidates if pair[0].startswith(current)]


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            yield action.option_strings[-1], (action.help or "").replace("%%", "%")


def _next_action(
    parser: argparse.ArgumentParser, before: list[str], current: str
) -> argparse.Action | None:
    """The option or positional that takes the current word; None if it is an option itself."""
    positionals = [action for action in parser._actions if not action.option_strings]
    place, waiting = 0, None
    for word in before:
        if waiting is not None:
            waiting = waiting if waiting.nargs == "+" else None
        elif word.startswith("-"):
            option = parser._option_string_actions.get(word)
            waiting = option if option is not None and option.nargs != 0 else None
        else:
            place += 1
    if waiting is not None and not (waiting.nargs == "+" and current.startswith("-")):
        return waiting
    if current.startswith("-") or not positionals:
        return None
    last = positionals[-1]
    if place < len(positionals):
        return positionals[place]
    return last if last.nargs in ("*", "+") else None


def _values(
    commands: Commands, command: str, action: argparse.Action, before: list[str], current: str
) -> Candidates:
    if action.choices:
        return [(str(choice), "") for choice in action.choices if choice != "words"]
    if command == "config":
        one = settings_of(Config).get(before[1]) if action.dest == "value" else None
        if before[1:] == ["theme"]:
            return [(name, "") for name in themes.list_themes()]
        if one is not None:
            return [(name, "") for name in one.choices or ()]
        return [(each.name, each.description) for each in settings_of(Config).values()]
    if action.dest == "settings" and command in ("train", "sweep"):
        return _recipe_settings(before, current)
    if command == "pull":
        return _catalogue() if action.dest == "name" else []
    name = str(action.metavar or action.dest).partition("|")[0]
    if command == "watch" and not action.option_strings:
        name = "RUN"
    if name == "TOPIC":
        return _topics(commands)
    if name == "NAME":
        return _choices(action)
    if name == "MODEL" and command == "generate":
        return _generators()
    return _NAMES.get(name, list)()


def _choices(action: argparse.Action) -> Candidates:
    for kind in cli_options.generated_with():
        if (one := settings_of(kind).get(action.dest)) is not None and one.choices:
            return [(str(name), one.show(name)) for name in one.choices]
    return []


def _recipe_settings(before: list[str], current: str) -> Candidates:
    """The settings of the recipe, or of the recipe of the model after `--from`; after `NAME=` its
    choices."""
    recipe = next((recipes.RECIPES[word] for word in before if word in recipes.RECIPES), None)
    if "--from" in before[:-1]:
        with suppress(GenuiError):
            recipe = models.find_origin(before[before.index("--from") + 1]).recipe
    known = settings_of(type(recipe)).values() if recipe is not None else ()
    name, sign, _ = current.partition("=")
    if sign:
        chosen = [one for one in known if one.name == name]
        return [(f"{name}={choice}", "") for one in chosen for choice in one.choices or ()]
    return [(f"{one.name}=", one.description) for one in known if one.name not in recipes.FIXED]


def _models() -> Candidates:
    usable = [model for model in models.list_models() if model.is_usable]
    return [(model.ref, f"{model.medium}, {model.family}") for model in usable]


def _catalogue() -> Candidates:
    return [(entry.name, entry.summary) for entry in catalogue.CATALOGUE.values()]


def _generators() -> Candidates:
    return [pair for pair in _models() if not pair[1].endswith("classifier")]


def _runs() -> Candidates:
    runs = listing.list_runs()
    newest = [("last", "the newest run")] if runs else []
    return [*newest, *((run.run.id, run.info.name) for run in runs)]


def _recipes() -> Candidates:
    return [(recipe.name, recipe.summary) for recipe in recipes.RECIPES.values()]


def _topics(commands: Commands) -> Candidates:
    return [*help.topics().items(), *commands.summaries().items()]


_NAMES: Mapping[str, Callable[[], Candidates]] = {
    "MODEL": _models,
    "RUN": _runs,
    "RECIPE": _recipes,
}

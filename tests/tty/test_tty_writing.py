"""Text written in a real terminal: what each token costs it."""

import re

from terminal import Terminal

BUDGET = 1024  # bytes a token, with its odds and the counts: 15 KiB a second at 15 a second
TOKENS = 40


def written(text: str) -> int:
    """The count in `12/400 tok`; -1 where it is not shown."""
    found = re.search(r" (\d+)/[\d,]+ tok", text)
    return int(found[1]) if found else -1


def test_a_token_costs_what_it_changes() -> None:
    with Terminal(size=(120, 40)) as terminal:
        terminal.until(lambda text: "─ Text  " in text)  # a model is offered
        terminal.press("\t\t")
        terminal.until(lambda text: "→ token" in text.splitlines()[-1])
        terminal.press(" ")
        terminal.until(lambda text: written(text) > 0)
        first, sent = written(terminal.text), len(terminal.output)
        terminal.until(lambda text: written(text) >= first + TOKENS)
        tokens = written(terminal.text) - first
        assert len(terminal.output) - sent <= BUDGET * tokens
        terminal.press("q")
        assert terminal.wait() == 0

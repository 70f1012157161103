"""From process start to the first paint, to the list of models, and to the first token.

    python tests/bench/bench_start.py

Each start is a real process in a real terminal of 120×40, beside a bare Textual app (one
Static) and `import torch` alone, in turns.
"""

import re
import sys
from pathlib import Path

from harness import Figure, Terminal, arguments, home, import_torch, machine, report, seconds

BARE = """
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("Models")

Bare().run()
"""
MODEL = "shakespeare"
READY = re.compile(r"\b(cpu|cuda|mps) (fp32|bf16)\b")
TOKEN = re.compile(r"\b[1-9][\d,]*/[\d,]+ tok\b")


def first_paint(argv: list[str], folder: Path) -> float:
    """Seconds from exec until the word Models has reached the terminal."""
    with Terminal(argv, env={"GENUI_HOME": str(folder), "GENUI_QUIET": "0"}) as terminal:
        return terminal.until_sent(b"Models") - terminal.started


def start_and_write(folder: Path) -> dict[str, float]:
    """Seconds from exec to each event, a model being opened once they are listed."""
    with Terminal(env={"GENUI_HOME": str(folder)}) as terminal:
        events = {
            "paint": terminal.until(lambda text: "Models" in text),
            "listed": terminal.until(lambda text: MODEL in text),
        }
        terminal.press(f"/{MODEL}")
        terminal.until(lambda text: re.search(r"Models .*\d of \d", text) is not None)
        terminal.press("\r")  # the filter's Enter opens the model
        ready = terminal.until(lambda text: READY.search(text.partition("\n")[0]) is not None)
        token = terminal.until(lambda text: TOKEN.search(text) is not None)
        events |= {"ready": ready, "token": token}
        return {name: at - terminal.started for name, at in events.items()}


def has_text_model() -> bool:
    """Whether there is something to write with."""
    from genui.runs.models import list_models

    return any(model.medium in ("text", "code") for model in list_models())


def main() -> None:
    args = arguments("time until the app is there, and until it writes", repeats=7)
    before = machine()
    with home() as folder:
        first_paint([sys.executable, "-m", "genui"], folder)  # compiles, and fills the disk cache
        import_torch()
        ours, bare, torch, events = [], [], [], []
        writes = has_text_model()
        for _ in range(args.repeats):
            bare.append(first_paint([sys.executable, "-c", BARE], folder))
            ours.append(first_paint([sys.executable, "-m", "genui"], folder))
            if len(torch) < 3:
                torch.append(import_torch())
                if writes:
                    events.append(start_and_write(folder))
    figures: list[Figure] = [
        seconds("first paint", ours, bare, "a bare Textual app", 0.5),
        seconds("import torch alone", torch),
    ]
    if writes:
        for name, words in (
            ("listed", "models listed"),
            ("ready", "worker ready"),
            ("token", f"first token, {MODEL} opened once listed"),
        ):
            values = [event[name] for event in events]
            figures.append(seconds(words, values, torch, "import torch"))
        usable = [event["token"] - event["paint"] for event in events]
        figures.append(seconds("first token after first paint", usable, torch, "import torch", 4))
    report(before, figures, args.json)
    if not writes:
        print("no model is shipped: nothing was written", file=sys.stderr)


if __name__ == "__main__":
    main()

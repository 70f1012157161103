"""Every key, alone and doubled, in every pane and window; then every entry of the palette.

    python -m tests.bench walk [--terminal] [--places NAME …]

The app is in this process with a fake worker, or with --terminal a process in a real terminal, to
which a doubled key is sent in one write. Every so often the terminal changes its size. Prints what
ends the app, what cannot be left by Esc, and what moves the panes; the exit code is 1 then.
"""

import argparse
import asyncio
import sys
import time
import traceback
from pathlib import Path

import fingers
from fingers import Far, Hand, Input

from genui.ui.app import GenuiApp

PLACES = {
    "models": "1 home", "filter": "slash i", "training": "tab", "text": "2", "text-played": "2 end",
    "text-home": "tab tab", "canvas": "3", "canvas-played": "3 end", "canvas-home": "tab tab tab",
    "text-settings": "2 s", "canvas-settings": "3 s", "setting-typed": "3 s enter",
    "prompt": "2 e", "caption": "3 e", "search-text": "2 end slash",
    "help": "question_mark", "manual": "f1", "topics": "f1 i", "contents": "f1 t",
    "palette": "ctrl+p", "new-run": "n", "favourites": "F", "copy": "3 end y",
    "branches": "2 end f b", "variations": "3 end v", "text-variations": "2 end v",
    "compare": "3 end f c", "nearest": "3 end N", "export": "3 end x", "text-export": "2 end x",
    "edit-run": "end end e", "delete-run": "1 home d",
    "board": "4", "table": "o", "table-search": "o slash", "board-console": "4 tab i",
    "board-config": "4 tab tab i", "board-filter": "4 slash", "board-settings": "4 s",
    "run-from-here": "4 n", "alerts": "4 !",
    "lab": "5", "lab-played": "5 end", "lab-settings": "5 s", "points": "5 e",
    "tour": "f2", "tour-text": "f2 2", "tour-board": "f2 4", "tour-prompt": "f2 2 e",
    "lab-branches": "5 end b", "lab-export": "5 end x",
}  # fmt: skip
"""Where keys are pressed, by the keys that lead there from Home."""

MODELS = {"roll": "chorales", "walk": "fashion-gan", "clip": "video", "sound": "voice"}
PLACES |= {
    place: f"slash {' '.join(name.replace('-', '~'))} enter enter".replace("~", "minus")
    for place, name in MODELS.items()
}
VIEWS = {"zoomed": "3 end", "branches": "end f b", "compare": "3 end f c",
         "variations": "3 end v", "export": "3 end x", "settings": "3 s"}  # fmt: skip
PLACES |= {
    f"{place}-{view}": f"{PLACES[place]} {keys}" for place in MODELS for view, keys in VIEWS.items()
}
RESIZES = [(80, 24), (200, 60), (50, 14), (120, 40)]
RESIZE_EVERY = 16  # keys
CHECK_EVERY = 40  # keys, in a terminal


def parse(keys: str) -> list[Input]:
    return [Input("key", key) for key in keys.split()]


class Walk:
    def __init__(self, folder: Path) -> None:
        self.folder, self.pressed, self.faults = folder, 0, 0

    def fail(self, place: str, keys: list[Input], text: str) -> None:
        self.faults += 1
        print(f"{place}: {fingers.describe(keys)}: {text}", flush=True)

    async def visit(self, place: str, todo: list[list[Input]]) -> None:
        """Press each of `todo`, all at once, at a place, and take it away."""
        app = GenuiApp(fingers.make_launch("fake"))
        async with app.run_test(size=fingers.SIZE):
            hand, at = Hand(app, self.folder), None
            await hand.settle()
            while todo and not hand.gone:
                if at is None or (app.screen, app.focused) != at:
                    await hand.go_home()
                    for one in parse(PLACES[place]):
                        await hand.press(one)
                    if hand.gone:
                        return
                    at = app.screen, app.focused
                keys = todo.pop(0)
                self.pressed += len(keys)
                await hand.press(*keys)
                if len(todo) % RESIZE_EVERY == 0 and not hand.gone:
                    size = RESIZES[len(todo) // RESIZE_EVERY % len(RESIZES)]
                    await hand.press(Input("resize", size))
                if hand.gone:
                    if app.return_code:
                        self.fail(place, keys, "ended the app")
                    return
                for fault in fingers.faults:
                    self.fail(place, keys, fault)
                fingers.faults.clear()
            if not hand.gone and (fault := await hand.check()):
                self.fail(place, [], fault)

    def visit_in_terminal(self, place: str, todo: list[list[Input]]) -> None:
        """The same in a real terminal, where each key is led to from Home."""
        far, known = Far(self.folder, "fake"), self.folder / fingers.FAULTS
        keys: list[Input] = []
        try:
            while todo and not far.gone:
                far.press(*[Input("key", "escape")] * 3)
                for one in [Input("key", "1"), *parse(PLACES[place])]:
                    far.press(one)
                keys = todo.pop(0)
                self.pressed += len(keys)
                far.press(*keys)
                if len(todo) % RESIZE_EVERY == 0:
                    size = RESIZES[len(todo) // RESIZE_EVERY % len(RESIZES)]
                    far.press(Input("resize", size))
                if len(todo) % CHECK_EVERY == 0 and (fault := far.check()):
                    self.fail(place, keys, fault)
                    return
                if known.exists():
                    self.fail(place, keys, known.read_text())
                    known.unlink()
        finally:
            if fault := far.end():
                self.fail(place, keys, fault)


def main() -> None:
    parser = argparse.ArgumentParser(description="every key everywhere")
    parser.add_argument("--places", nargs="*", default=list(PLACES), choices=list(PLACES))
    parser.add_argument("--terminal", action="store_true", help="in a real terminal")
    args = parser.parse_args()
    begin = time.monotonic()
    with fingers.busy_home() as folder:
        if not args.terminal:
            fingers.prepare(folder)
        walk = Walk(folder)
        keys = [Input("key", key) for key in fingers.all_keys()]
        for place in args.places:
            todo = [burst for key in keys for burst in ([key], [key, key])]
            while todo:
                try:
                    if args.terminal:
                        walk.visit_in_terminal(place, todo)
                    else:
                        asyncio.run(walk.visit(place, todo))
                except Exception:
                    walk.fail(place, [], traceback.format_exc())
            print(f"{place}: {walk.pressed} keys, {time.monotonic() - begin:.0f} s", flush=True)
    sys.exit(bool(walk.faults))


if __name__ == "__main__":
    main()

"""An image in a terminal that shows pixels: a pseudo-terminal that answers as kitty does."""

import base64
import os
import re
import select
import sys
import time
from io import BytesIO
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from PIL import Image
from pseudo_terminal import environment, start_in_terminal
from textual.app import App, ComposeResult
from textual.screen import ModalScreen
from waiting import PATIENCE

from genui.ui.app import Shell
from genui.ui.graphics import Images
from genui.ui.screens import AppScreen
from genui.ui.widgets.image import ImageView

APP = """
import numpy as np
from textual.app import App
from genui.ui.terminal import choose_driver, get_metered_driver
from genui.ui.widgets.image import ImageView

class Viewer(App):
    CSS = "ImageView { width: 64; height: 32; }"
    keys = ""

    def __init__(self):
        super().__init__(driver_class=choose_driver())

    def compose(self):
        yield ImageView()

    async def on_mount(self):
        view = self.query_one(ImageView)
        view.show(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3))
        self.run_worker(self.choose())

    async def choose(self):
        driver = get_metered_driver(self)
        await driver.choose_images("auto", "truecolor", False, lambda replies: "truecolor")
        self.query_one(ImageView).change_protocol()

    def on_key(self, event):
        self.keys += event.character or event.key
        if event.character == "q":
            self.exit()

app = Viewer()
app.run()
print("KEYS", repr(app.keys))
"""
UPLOAD = re.compile(rb"\x1b_G(a=T[^;]*);([^\x1b]*)\x1b\\")


class Pty:
    """The app in a terminal of 100 × 40 cells of 9 × 20 pixels."""

    def __init__(self, env: dict[str, str]) -> None:
        plain = environment(env)
        for name in ("STY", "KITTY_WINDOW_ID"):
            plain.pop(name, None)
        argv = [sys.executable, "-c", APP]
        self.process, self.fd = start_in_terminal(argv, (100, 40), plain, pixels=(900, 800))
        self.output = b""

    def until(self, pattern: bytes) -> None:
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.output):
            assert time.monotonic() < end, self.output[-500:]
            self._read()

    def to_end(self) -> int:
        while self._read():
            pass
        os.close(self.fd)
        return self.process.wait()

    def _read(self) -> bool:
        try:
            if select.select([self.fd], [], [], 0.05)[0]:
                self.output += os.read(self.fd, 65536)
        except OSError:
            return False
        return True

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)


@pytest.fixture
def kitty() -> Pty:
    return Pty({"TERM": "xterm-kitty"})


def test_an_image_is_sent_to_kitty_and_removed_and_replies_are_no_keys(kitty: Pty) -> None:
    kitty.until(rb"\x1b_Gi=31[^\x1b]*\x1b\\\x1b\[c")  # the query
    kitty.type(b"x\x1b_Gi=31;OK\x1b\\\x1b[?62;")
    kitty.type(b"cy")
    kitty.until(UPLOAD.pattern)
    kitty.type(b"q")
    assert kitty.to_end() == 0
    assert b"KEYS 'xyq'" in kitty.output
    keys, data = UPLOAD.findall(kitty.output)[0]
    control = dict(part.split(b"=") for part in keys.split(b","))
    image = np.asarray(Image.open(BytesIO(base64.b64decode(data))))
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    factor = len(image) // 8
    assert np.array_equal(image, pixels.repeat(factor, 0).repeat(factor, 1))
    columns, rows = int(control[b"c"]), int(control[b"r"])
    assert columns == 64 or rows == 32
    assert columns * 9 == pytest.approx(rows * 20, abs=20)
    removal = kitty.output.rindex(b"a=d,d=I,i=" + control[b"i"])
    assert removal < kitty.output.rindex(b"\x1b[?1049l")


def test_a_terminal_that_answers_for_nothing_keeps_half_blocks(kitty: Pty) -> None:
    kitty.until(rb"\x1b\[c")
    kitty.type(b"\x1b[?62;c")
    kitty.until(rb"48;2;126;127;128m")  # a pixel
    kitty.type(b"q")
    assert kitty.to_end() == 0
    assert b"KEYS 'q'" in kitty.output
    assert not UPLOAD.search(kitty.output)


def test_an_image_is_sent_as_sixel_data_to_a_terminal_that_answers_for_it() -> None:
    terminal = Pty({"TERM": "xterm-256color"})
    terminal.until(rb"\x1b\[c")
    terminal.type(b"\x1b[?62;4c")
    terminal.until(rb"\x1b\[\?1;1;0S")
    terminal.type(b"\x1b[?1;0;256S\x1b[?62;4c")
    terminal.until(rb'\x1bPq"1;1;\d+;\d+#')
    terminal.type(b"q")
    assert terminal.to_end() == 0
    assert b"KEYS 'q'" in terminal.output
    size = re.search(rb'\x1bPq"1;1;(\d+);(\d+)#', terminal.output)
    assert size is not None
    assert (int(size[1]) % 9, int(size[2]) % 20) == (0, 0)  # whole cells


@pytest.mark.parametrize(("setting", "kept"), [("auto", False), ("kitty", True)])
def test_a_terminal_that_falls_behind_gets_half_blocks_unless_pixels_were_chosen(
    setting: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = SimpleNamespace(protocol="kitty")
    driver = SimpleNamespace(images=images, behind=0.9, bytes_written=0)
    monkeypatch.setattr("genui.ui.app.get_metered_driver", lambda app: driver)
    app = MagicMock(_bytes=0, _images_setting=setting)
    Shell._count_traffic(app)
    assert images.protocol == "kitty"
    driver.behind = 1.1
    Shell._count_traffic(app)
    assert images.protocol == ("kitty" if kept else None)
    assert app._redraw_images.called == (not kept)
    assert app.front.say.called == (not kept)


async def test_an_image_under_a_window_is_dimmed_as_its_cells_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = SimpleNamespace(images=Images(), paint_images=lambda: None)
    driver.images.protocol = "kitty"
    for module in ("genui.ui.terminal", "genui.ui.widgets.image"):
        monkeypatch.setattr(f"{module}.get_metered_driver", lambda app: driver)

    class Window(ModalScreen[None]):
        CSS = "Window { background: rgb(0, 100, 0) 50%; }"

    class Base(AppScreen[None]):
        def compose(self) -> ComposeResult:
            yield ImageView()

    class Viewer(App[None]):
        def get_default_screen(self) -> Base:
            return Base()

    def brightness() -> list[int]:
        view = app.screen_stack[0].query_one(ImageView)
        assert view._placement is not None
        decoded = Image.open(BytesIO(base64.b64decode(view._placement.data)))
        return np.asarray(decoded)[0, 0].tolist()

    app = Viewer()
    async with app.run_test() as pilot:
        app.screen.query_one(ImageView).show(np.full((4, 4, 3), 200, np.uint8))
        await pilot.pause()
        assert brightness() == [200, 200, 200]
        await app.push_screen(Window())
        await pilot.pause()
        assert brightness() == [100, 150, 100]
        app.pop_screen()
        await pilot.pause()
        assert brightness() == [200, 200, 200]

"""The Speech pane: a voice of another program speaks, a sentence a step."""

from pathlib import Path

import pytest
from acting import Opener, home_of, until, until_seen
from fake_process import in_process
from fake_worker import FakeWorker
from small_onnx import write_voice
from textual.pilot import Pilot

from genui import protocol
from genui.hub.records import Record, write_record
from genui.runs.models import ModelInfo
from genui.ui.generate.actions import can_label
from genui.ui.generate.pane import TracePane
from genui.ui.manual import topic_of
from genui.ui.widgets.image import Waveform


class FakeVoice(FakeWorker):
    """Answers as a voice does: each sentence adds a tenth of a second."""

    def opened(self, request: protocol.Start, step: int) -> None:
        self.traces[request.trace] = request
        self.send(
            protocol.Started(
                trace=request.trace,
                model=request.model,
                family="pretrained",
                medium="audio",
                prompt=request.prompt,
                total_steps=3,
                step=step,
            )
        )

    def frame(self, start: protocol.Start, step: int) -> protocol.ImageFrame:
        image = bytes([60 * step]) * 3 * 64 * 8
        sound = b"\0\x20" * 2205 * step
        return protocol.ImageFrame(
            trace=start.trace,
            step=step,
            sigma=0.0,
            width=8,
            height=64,
            x=image,
            denoised=image,
            sound=sound,
            rate=22_050,
        )


@pytest.fixture
def joe(tmp_path: Path) -> None:
    """A voice with a name. Its network is never loaded."""
    write_record("joe", Record(path=str(write_voice(tmp_path / "voice" / "joe.onnx"))))


def pane_of(pilot: Pilot[None]) -> TracePane:
    return home_of(pilot).query_one("#speech", TracePane)


def test_its_pages_of_the_manual() -> None:
    assert topic_of("speech", "audio") == "audio"
    assert topic_of("canvas", "audio") == "audio"


async def test_a_voice_speaks_sentence_by_sentence(
    shipped: Path, joe: None, open_app: Opener
) -> None:
    async with open_app((120, 40), worker=in_process(FakeVoice)) as pilot:
        home = home_of(pilot)
        home.open_model(next(model for model in home.models if model.name == "joe"))
        await until_seen(pilot, "Speech")
        trace = pane_of(pilot).controller.ensure_trace()
        assert trace is not None
        await until(pilot, lambda: trace.finished)
        await until_seen(pilot, "0.30 s at 22,050")
        assert pane_of(pilot).query_one(Waveform).display
        await pilot.press("left")
        await until_seen(pilot, "0.20 s at 22,050")
        await pilot.press("f")
        await until_seen(pilot, "branch 2 of 2")
        fork = pane_of(pilot).trace
        assert fork is not None
        (edit,) = fork.request.edits
        assert edit.step == 2
        assert isinstance(edit.edit, protocol.SetSeed)


def test_a_classifier_of_sounds_is_not_offered_since_no_trace_gives_it_an_example() -> None:
    shared = {"dataset": "digits", "parameters": 1, "step": 1, "summary": "", "path": Path("x")}
    sounds, images, voice, drawer = (
        ModelInfo(ref=name, name=name, family=family, medium=medium, source="shipped", **shared)
        for name, family, medium in (
            ("sounds", "classifier", "audio"),
            ("images", "classifier", "image"),
            ("voice", "diffusion", "audio"),
            ("icons", "diffusion", "image"),
        )
    )
    assert not can_label(sounds, voice)
    assert can_label(images, drawer)

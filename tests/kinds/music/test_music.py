"""Four-voice music: the data, the training, and writing it note by note."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from music_makers import small_generator, small_model, small_recipe
from shares import assert_shares_add_up
from shown import PNG, show_step

from genui.base.errors import MisuseError
from genui.engine.device import Machine
from genui.engine.sample.lens import attention, read_layers
from genui.engine.sample.trace import Trace
from genui.kinds.music import chorale, score
from genui.kinds.music.data import Chorale, load_chorales, load_music, row
from genui.kinds.music.metrics import (
    Pieces,
    chorale_sonorities,
    nearest_music,
    written,
)
from genui.kinds.music.task import MusicTask, held_out, nats_of
from genui.protocol import (
    Ablate,
    AddNoise,
    Edit,
    EditAt,
    LayerOdds,
    RgbImage,
    SetSeed,
    SetSettings,
    Start,
    Steer,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.runs.models import rate_quality

MACHINE = Machine("cpu", "fp32", 1)
SETTINGS = TextSettings(tokens=60, temperature=1.0, top_p=1.0)


def start(**changes: object) -> Start:
    plain = {"trace": 0, "model": "", "prompt": "G major", "seed": 3, "settings": SETTINGS}
    return Start(**(plain | changes))  # type: ignore[arg-type]


def frames(trace: Trace) -> list[TextFrame]:
    return [f for f in trace.advance(0, 10_000) if isinstance(f, TextFrame)]


# --- the data -----------------------------------------------------------------------------


def test_the_chorales_are_split_as_the_literature_splits_them() -> None:
    """229, 76 and 77 sequences: of 216, 73 and 74 of them the music is in music21."""
    parts = load_chorales()
    assert {name: len(pieces) for name, pieces in parts.items()} == {
        "train": 217,
        "valid": 79,
        "test": 76,
    }


def test_a_chorale_has_four_voices_in_their_ranges_and_tokens_for_all_it_sounds() -> None:
    for piece in load_chorales()["train"]:
        assert piece.tokens.shape == piece.pitch.shape == (len(piece.pitch), 4)
        for voice in range(4):
            heard = score.notes_of_voice(voice, piece.tokens[:, voice].tolist())
            low, high = chorale.RANGES[voice]
            assert all(low <= note.pitch <= high for note in heard)
            sounds = np.zeros(len(piece.pitch), int)
            for note in heard:
                sounds[note.first : note.last] = note.pitch
            assert (sounds == piece.pitch[:, voice]).all()
        assert 0 in piece.shifts


def test_bach_is_where_he_should_be() -> None:
    """BWV 269, "Aus meines Herzens Grunde", the first of Riemenschneider's: G major, 3/4."""
    piece = next(p for ps in load_chorales().values() for p in ps if p.bwv == "269")
    assert piece.opening == chorale.Opening(7, 12, 8)
    assert [chorale.spell(int(p)) for p in piece.pitch[0]] == ["G4", "D4", "B3", "G2"]


def test_a_row_moved_to_another_key_says_so_and_moves_every_note() -> None:
    piece = load_chorales()["train"][0]
    plain, moved = (row(piece, shift=shift)[1] for shift in (0, 2))
    sung = (plain >= chorale.FIRST_NOTE) & (plain < chorale.FIRST_KEY)
    assert ((moved - plain) == np.where(sung, 2, 0)).all()
    tokens, _ = row(piece, shift=2)
    assert tokens[0] % chorale.INPUTS == chorale.key_token((piece.opening.key + 2) % 12 + 12)


def test_data_of_ones_own_is_refused_in_one_line() -> None:
    with pytest.raises(MisuseError, match="leave out --data"):
        load_music(small_recipe(data="/tmp/tunes"))


# --- training -----------------------------------------------------------------------------


def test_a_step_of_training_is_drawn_from_its_number_alone() -> None:
    one, other = (MusicTask(small_recipe(batch="3"), torch.device("cpu")) for _ in range(2))
    for task in (one, other):
        task.model.eval()
    one.loss(1)
    assert float(one.loss(7).detach()) == float(other.loss(7).detach())
    assert_shares_add_up(one)
    assert one.units_per_step == 3 * 64


def test_the_windows_of_a_step_are_shown_as_they_are_trained() -> None:
    task = MusicTask(small_recipe(batch="3"), torch.device("cpu"))
    for example in show_step(task):
        assert example.source.startswith("BWV ")
        assert re.fullmatch(r"[+-]\d+ semitones, .+ given", example.text)
        assert example.image.startswith(PNG)


def test_training_lowers_the_loss() -> None:
    task = MusicTask(small_recipe(batch="4"), torch.device("cpu"))
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=0.01)
    losses = []
    for step in range(12):
        loss = task.loss(step)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(np.log(chorale.SIZE), abs=1e-3)  # all tokens alike at first
    assert losses[-1] < losses[0] - 1


def test_a_sample_is_an_image_and_a_midi_file() -> None:
    task = MusicTask(small_recipe(sample_tokens="48"), torch.device("cpu"))
    found = {sample.suffix: sample.content for sample in task.sample(task.model, MACHINE)}
    assert found[".png"].startswith(b"\x89PNG")
    assert found[".mid"].startswith(b"MThd")


def test_what_the_model_never_saw_is_judged_alike_however_it_is_cut() -> None:
    """A long piece in windows: the first context is judged as if it stood alone."""
    model = small_model().eval()
    piece = load_chorales()["valid"][0]
    tokens, answers = row(piece)
    whole = held_out(model, piece, MACHINE)
    alone = nats_of(model, tokens[:64], answers[:64], MACHINE)
    assert len(whole) == 4 * len(piece.pitch) + 1
    assert whole[: len(alone)] == pytest.approx(alone, rel=1e-5)


# --- writing ------------------------------------------------------------------------------


def test_what_the_network_reads_while_it_writes_is_what_it_was_trained_on() -> None:
    """Written by hand, a chorale is read token for token as the training reads it."""
    whole = load_chorales()["train"][2]
    piece = Chorale(whole.bwv, whole.opening, whole.pitch[:20], whole.onset[:20])
    tokens, answers = row(piece, chorale.MELODY_FIRST)
    generator = small_generator()
    state, _ = generator.begin(start(prompt=chorale.spell_opening(piece.opening)))
    for token in answers[answers >= 0].tolist():
        state = replace(state, written=(token,), written_from=state.step)
        state, _ = generator.step(state)
    assert generator.finished(state)
    assert state.token_ids.since(0).tolist() == tokens.tolist()


def test_going_back_and_forward_gives_the_same_bits() -> None:
    trace = Trace(small_generator(), start())
    first = frames(trace)
    assert [f.step for f in first] == list(range(1, 61))
    again = list(trace.advance(30, 10))
    assert again == first[30:40]
    assert frames(Trace(small_generator(), start())) == first


def test_a_fork_shares_what_came_before_it_and_only_that() -> None:
    trace = Trace(small_generator(), start())
    first = frames(trace)
    branch = trace.fork(1, 20, WriteToken(chorale.note_token(62)))
    forked = [f for f in branch.advance(20, 20) if isinstance(f, TextFrame)]
    assert (forked[0].token, forked[0].forced) == (chorale.note_token(62), True)
    whole = frames(Trace(small_generator(), branch.request))
    assert [f.token for f in whole[:20]] == [f.token for f in first[:20]]
    assert [f.token for f in whole[20:40]] == [f.token for f in forked]


def test_notes_of_ones_own_are_written_as_they_are_named() -> None:
    edits = (EditAt(step=0, edit=WriteText("B4 - - - Bb4 rest")),)
    made = frames(Trace(small_generator(), start(edits=edits)))[:6]
    assert [f.text for f in made] == ["B4 ", "hold ", "hold ", "hold ", "A♯4 ", "rest "]
    assert all(f.forced for f in made)


def test_what_cannot_stand_is_never_written_nor_offered() -> None:
    made = frames(Trace(small_generator(), start(settings=replace_tokens(400))))
    assert all(f.token < chorale.FIRST_KEY for f in made)
    for frame in made[1:9]:  # the soprano alone may end the piece, and not before it began
        barred = [c for c in frame.candidates if c.token >= chorale.FIRST_KEY]
        assert all(c.model == 0 for c in barred)


def replace_tokens(tokens: int) -> TextSettings:
    return TextSettings(tokens=tokens, temperature=1.0, top_p=1.0)


def test_a_piece_that_ends_has_all_its_voices_to_the_end() -> None:
    edits = (EditAt(step=3, edit=WriteText("end")),)
    trace = Trace(small_generator(), start(settings=replace_tokens(4000), edits=edits))
    made = frames(trace)
    assert len(made) == 3 * 4 + 1  # three sixteenths and the end
    grid = score.Grid(chorale.MELODY_FIRST)
    for frame in made:
        grid.write(frame.token)
    assert (grid.sixteenths, grid.complete, grid.next) == (3, 3, None)
    with pytest.raises(MisuseError, match="the piece ended at step 13"):
        trace.fork(1, 13, SetSeed(4))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (AddNoise(to=3), "is an edit of images"),
        (WriteText(""), "no note is named"),
        (WriteText("C4 H5"), "give a note such as C4"),
        (WriteText("C4 end - - - end"), "'end' is the end of the piece: write it last"),
        (WriteToken(chorale.FIRST_KEY), "cannot stand at step 1"),
        (WriteToken(99_999), "cannot stand at step 1"),
        (WriteToken(chorale.END), "cannot stand at step 1"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused_in_one_line(edit: Edit, reason: str) -> None:
    with pytest.raises(MisuseError, match=reason) as error:
        Trace(small_generator(), start()).fork(1, 0, edit)
    assert "\n" not in str(error.value)


def test_other_settings_and_seeds_hold_from_the_fork_on() -> None:
    edits = (EditAt(step=10, edit=SetSettings(TextSettings(temperature=0, tokens=20))),)
    made = frames(Trace(small_generator(), start(edits=edits)))
    assert len(made) == 20
    assert all(f.token == max(f.candidates, key=lambda c: c.model).token for f in made[10:])


def test_music_has_no_grammar_of_python() -> None:
    python = TextSettings(grammar="python")
    with pytest.raises(MisuseError, match="grammar python: this model writes music"):
        Trace(small_generator(), start(settings=python))
    with pytest.raises(MisuseError, match="grammar python: this model writes music"):
        Trace(small_generator(), start()).fork(1, 0, SetSettings(python))


def test_a_prompt_that_asks_for_no_piece_is_refused() -> None:
    with pytest.raises(MisuseError, match="give a key"):
        Trace(small_generator(), start(prompt="a cat"))


# --- voices that are given -------------------------------------------------------------------


def given(*voices: int, length: int = 12) -> score.Given:
    tune = bytes([chorale.note_token(67), *[chorale.HOLD] * (length - 1)])
    rows = [tune if voice in voices else b"" for voice in range(4)]
    return score.Given(chorale.Opening(7, 16, 12), (rows[0], rows[1], rows[2], rows[3]))


@pytest.mark.parametrize("voices", [(0,), (3,), (0, 3), (1, 2), (0, 1, 2)])
def test_given_voices_stand_and_the_rest_is_written_to_their_end(voices: tuple[int, ...]) -> None:
    trace = Trace(small_generator(), start(init=given(*voices).to_text()))
    made = frames(trace)
    grid = score.Grid(frozenset(voices), 12)
    for frame in made:
        slot = grid.write(frame.token)
        assert frame.forced is (slot.voice in voices)
    assert (grid.complete, grid.next, len(made)) == (12, None, 49)
    for voice in voices:
        assert bytes(grid.voices[voice]) == given(*voices).voices[voice]
    assert trace.started.prompt == "G major, 4/4, upbeat"
    assert trace.request.init == given(*voices).to_text()


def test_what_cannot_be_given_is_refused() -> None:
    for init, reason in (
        (given(0, 1, 2, 3).to_text(), "leave one for the model"),
        ("notes:nonsense", "are damaged"),
        (RgbImage(width=1, height=1, rgb=b"123"), "cannot start from an image"),
    ):
        with pytest.raises(MisuseError, match=reason):
            Trace(small_generator(), start(init=init))


# --- what is asked about a step, and many pieces at once -----------------------------------------


def test_attention_names_whose_each_token_is() -> None:
    trace = Trace(small_generator(), start())
    frames(trace)
    told = attention(trace, 12)
    assert told.texts[:2] == ("G major", "order")
    assert told.texts[2].startswith("S ")
    assert [text[0] for text in told.texts[-2:]] == ["B", "A"]


def test_a_piece_that_is_copied_in_another_key_is_found() -> None:
    piece = load_chorales()["train"][4]
    sounds = chorale_sonorities(piece)
    index = Pieces([chorale_sonorities(p) for p in load_chorales()["train"][:8]])
    moved = [tuple(None if p is None else p + 3 for p in column) for column in sounds[8:40]]
    run = index.longest([(60, 57, 52, 41), *moved, (60, 57, 52, 41)])
    assert (run.start, run.sixteenths, run.piece, run.place) == (1, 32, 4, 8)
    assert index.longest([(90, 20, 80, 70)]).sixteenths == 0


def test_the_quote_of_a_trace_is_made_of_the_steps_that_it_names() -> None:
    piece = load_chorales()["train"][4]
    tokens = piece.tokens[:24].T
    rows = [bytes(tokens[voice].tolist()) for voice in range(3)]
    init = score.Given(piece.opening, (rows[0], rows[1], rows[2], b"")).to_text()
    generator = small_generator()
    slots = list(Trace(generator, start(init=init)).state(0).slots)
    edits = tuple(
        EditAt(step=slots.index((3, at)), edit=WriteText(chorale.spell_token(int(token))))
        for at, token in enumerate(tokens[3])  # Bach's own bass
    )
    trace = Trace(generator, start(init=init, edits=edits))
    frames(trace)
    state = trace.state(trace.total_at(trace.reached))
    assert len(written(state)) == 24 * 4 + 1
    found = nearest_music(small_recipe(), trace, trace.reached, 1)
    [quote] = found.quotes
    assert f"BWV {piece.bwv}" in quote.where
    assert "6 quarters" in quote.where
    assert quote.text.startswith("soprano: ")


def test_the_lens_of_music_names_notes_that_can_follow() -> None:
    generator = small_generator()
    settings = TextSettings(tokens=12)
    trace = Trace(generator, Start(trace=1, model="m", prompt="G minor", seed=1, settings=settings))
    frames = [frame for frame in trace.advance(0, 12) if isinstance(frame, TextFrame)]
    layers = read_layers(trace, 6)
    assert layers.token == frames[5].text.strip()
    last: LayerOdds = layers.layers[-1]
    assert last.top[0][1] == pytest.approx(frames[5].candidates[0].model)
    branch = trace.fork(2, 4, Ablate(layer=1, head=1))
    assert [f.text for f in branch.advance(0, 4)] == [f.text for f in frames[:4]]  # type: ignore[union-attr]
    with pytest.raises(MisuseError, match="music is not steered by texts"):
        trace.fork(2, 4, Steer(layer=1, strength=1, towards="a", away="b"))


@pytest.mark.parametrize(("nats", "word"), [("0.371", "good"), ("0.45", "fair"), ("0.6", "weak")])
def test_nats_a_token_are_rated_in_a_word(nats: str, word: str) -> None:
    assert rate_quality(f"{nats} nats a token") == word

"""Models on a server: added, asked a token at a time, saved and replayed from the file."""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from model_server import SPECIAL, ModelServer, serve

from genui.base.errors import GenuiError
from genui.cli.main import main
from genui.engine.load import find_and_load, forget_models
from genui.engine.sample.text import TextGenerator
from genui.engine.sample.trace import Trace
from genui.formats.recipe import Machine
from genui.formats.trees import load_tree, save_tree
from genui.hub.records import list_records, read_record, record_file, write_record
from genui.kinds.servers import client
from genui.kinds.servers.model import ServerRecord
from genui.protocol import (
    Advance,
    Cancel,
    Failed,
    Hello,
    Idle,
    Start,
    Started,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
)
from genui.ui.traces import trees
from genui.ui.traces.export import add_saved, saved_tree

WRITE = ("--prompt", "to be", "--seed", "7", "--tokens", "30", "--top-k", "10")

Serve = Callable[..., ModelServer]


@pytest.fixture
def serving(tiny: Path) -> Iterator[Serve]:
    """Start servers of the model `plays`; each is added under its dialect's name."""
    open_servers: list[Any] = []
    model = find_and_load("plays")
    assert isinstance(model, TextGenerator)

    def start(dialect: str = "llama", add: bool = True, **attributes: Any) -> ModelServer:
        context = serve(model, dialect)
        server = context.__enter__()
        open_servers.append(context)
        for name, value in attributes.items():
            setattr(server, name, value)
        if add:
            assert main(["models", "add", server.url, "--name", dialect]) == 0
        return server

    yield start
    for context in open_servers:
        context.__exit__(None, None, None)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command: its exit code and what it printed."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return run


Run = Callable[..., tuple[int, str, str]]


def hanging(server: ModelServer) -> Callable[[str], None]:
    """A fault: nothing is answered before the test lets it."""

    def hang(path: str) -> None:
        server.release.wait()

    return hang


def down(server: ModelServer) -> None:
    """From now on it refuses everything."""
    server.fault = lambda path: (503, b'{"error":{"message":"down"}}', {})


def added(name: str) -> ServerRecord:
    """What is kept of a model that was added."""
    return read_record(record_file(name), ServerRecord)


# --- Generation and replay ----------------------------------------------------------------------


def test_a_server_with_token_ids_writes_what_the_same_model_writes_here(
    serving: Serve, run: Run
) -> None:
    serving("llama")
    here = run("generate", "plays", *WRITE)[1]
    assert run("generate", "llama", *WRITE)[:2] == (0, here)
    assert (
        run("generate", "llama", *WRITE, "--temperature", "0")[1]
        == run("generate", "plays", *WRITE, "--temperature", "0")[1]
    )


@pytest.mark.parametrize("dialect", ["llama", "ollama", "openai"])
def test_a_saved_text_is_replayed_from_its_record_without_the_server(
    dialect: str, serving: Serve, run: Run, tmp_path: Path
) -> None:
    server = serving(dialect)
    files = tmp_path / "a.txt", tmp_path / "a.trace"
    code, _, note = run(
        "generate", dialect, *WRITE, "--out", str(files[0]), "--trace", str(files[1])
    )
    assert code == 0
    assert "20 of 49,152 tokens" in note if dialect == "llama" else "20 tokens" in note
    down(server)
    asked = len(server.asked)
    for file in files:
        assert run("replay", str(file))[:2] == (0, "identical\n")
    assert len(server.asked) == asked
    assert files[0].stat().st_size < 400 * 30 + 2000  # twenty odds a step


def test_verify_asks_no_server(serving: Serve, run: Run, tmp_path: Path) -> None:
    server, file = serving(), tmp_path / "a.txt"
    run("generate", "llama", *WRITE, "--out", str(file))
    asked = len(server.asked)
    code, out, _ = run("verify", str(file))
    assert code == 0
    assert "computes elsewhere and is not asked" in out
    assert len(server.asked) == asked


def test_a_server_without_token_ids_says_how_old_it_is(serving: Serve, run: Run) -> None:
    server = serving("llama")
    server.old = True
    code, _, fault = run("generate", "llama", *WRITE)
    assert code == 1
    assert "no token ids, as a llama-server before December 2024 does" in fault


def test_the_server_is_asked_again_on_demand(serving: Serve, run: Run, tmp_path: Path) -> None:
    server, file = serving(), tmp_path / "a.txt"
    run("generate", "llama", *WRITE, "--out", str(file))
    assert run("replay", "--again", str(file))[:2] == (0, "identical\n")
    server.shift = 1e-4  # nothing that changes a choice
    code, out, _ = run("replay", "--again", str(file))
    assert code == 0
    assert out.startswith("the text is the same; the model's odds differ from step 1 on, by 0.0")
    server.shift = 9.0
    code, out, _ = run("replay", "--again", str(file), "--json")
    facts = json.loads(out)
    assert code == 1
    assert facts["identical"] is False
    assert facts["step"] == 1
    assert facts["odds_step"] == 1
    assert facts["odds_difference"] > 0.1
    # The file itself is as it was.
    assert run("replay", str(file))[1] == "identical\n"


def test_only_a_text_of_a_server_is_asked_again(tiny: Path, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    run("generate", "plays", *WRITE, "--out", str(file))
    code, _, err = run("replay", "--again", str(file))
    assert code == 2
    assert "leave --again out" in err


def test_several_samples_have_each_their_answers(serving: Serve, run: Run, tmp_path: Path) -> None:
    server, file = serving("ollama"), tmp_path / "a.txt"
    run("generate", "ollama", *WRITE, "-n", "3", "--out", str(file))
    down(server)
    assert run("replay", str(file))[1] == "identical\n"


def test_a_step_says_what_the_server_left_out(serving: Serve, run: Run) -> None:
    serving("llama", most=5)
    out = run("generate", "llama", *WRITE, "--every-step")[1]
    step = json.loads(out.splitlines()[0])
    assert len(step["candidates"]) == 5
    assert step["vocabulary"] == 49152
    assert step["rest"] == pytest.approx(1 - sum(one["model"] for one in step["candidates"]))
    assert step["rest"] > 0.01


def test_a_token_of_a_control_character_is_no_end(serving: Serve, run: Run) -> None:
    server = serving("llama")
    token = {"id": 1, "token": "\a", "bytes": [7], "logprob": -0.1}
    reply = json.dumps({"completion_probabilities": [{**token, "top_logprobs": [token]}]}).encode()
    server.fault = lambda path: (200, reply, {}) if path == "/completion" else None
    lines = run("generate", "llama", *WRITE, "--every-step")[1].splitlines()
    assert len(lines) > 1
    assert [one["text"] for one in json.loads(lines[0])["candidates"]] == [""]


# --- Traces: back, forks, texts by hand ---------------------------------------------------------


def start(**changes: Any) -> Start:
    settings = TextSettings(tokens=12)
    fields = {"trace": 1, "model": "llama", "prompt": "to be", "seed": 3, "settings": settings}
    return Start(**fields | changes)


def opened(request: Start) -> Trace:
    return Trace(find_and_load(request.model), request)


@pytest.mark.parametrize("dialect", ["llama", "openai"])
def test_going_back_and_forking_meet_the_same_odds(dialect: str, serving: Serve) -> None:
    server = serving(dialect)
    trace = opened(start(model=dialect))
    frames = list(trace.advance(0, 12))
    server.shift = 5.0  # asked anew it would answer otherwise
    asked = len(server.asked)
    assert list(trace.advance(0, 12)) == frames
    same = trace.fork(2, 6, WriteToken(frames[6].token))  # type: ignore[union-attr]
    again = next(same.advance(6, 1))
    assert isinstance(again, TextFrame)
    assert isinstance(frames[6], TextFrame)
    assert again.candidates == frames[6].candidates
    assert again.forced
    assert len(server.asked) == asked
    other = next(c.token for c in frames[6].candidates if c.token != frames[6].token)
    fork = trace.fork(3, 6, WriteToken(other))
    assert [frame.step for frame in fork.advance(6, 6)] == [7, 8, 9, 10, 11, 12]
    assert len(server.asked) == asked + 5


@pytest.mark.parametrize("dialect", ["llama", "ollama"])
def test_text_written_by_hand_is_replayed_without_the_server(
    dialect: str, serving: Serve, run: Run, tmp_path: Path
) -> None:
    server, file = serving(dialect), tmp_path / "a.trace"
    edits = ("--fork", "4:text= or not", "--fork", "13:temperature=0")
    out = run("generate", dialect, *WRITE, *edits, "--trace", str(file))[1]
    assert out.startswith("to be")
    assert " or not" in out
    down(server)
    assert run("replay", str(file))[:2] == (0, "identical\n")


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_odds_are_had_where_the_server_itself_would_end_the_text(
    dialect: str, serving: Serve, run: Run
) -> None:
    server = serving(dialect)
    out = run("generate", dialect, *WRITE, "--every-step")[1]
    likeliest = [json.loads(line)["candidates"][0]["text"] for line in out.splitlines()]
    server.end = likeliest[3]
    asked = len(server.asked)
    assert run("generate", dialect, *WRITE, "--every-step")[1] == out
    assert len(server.asked) > asked + 30


def test_a_token_that_was_never_listed_is_refused(serving: Serve) -> None:
    serving()
    trace = opened(start())
    list(trace.advance(0, 1))
    with pytest.raises(Exception, match="token 999: the server has not listed it"):
        trace.fork(2, 1, WriteToken(999))


def test_a_token_written_by_hand_that_the_server_does_not_list(serving: Serve) -> None:
    serving("llama", most=3)
    trace = opened(start())
    rare = trace.fork(2, 0, WriteText("z"))
    frame = next(rare.advance(0, 1))
    assert isinstance(frame, TextFrame)
    assert frame.text == "z"
    assert len(frame.candidates) == 4
    assert frame.candidates[-1].model == 0
    assert frame.surprisal > 0


# --- The app's traces -----------------------------------------------------------------------------


def shown() -> trees.ShownTrace[TextFrame]:
    """A trace of the app that has no frames yet."""
    return trees.ShownTrace[TextFrame](request=start(), first=1, kind="server/text")


def computed(shown: trees.ShownTrace[Any]) -> list[Any]:
    """The frames of a branch as a worker gives them if it is started by itself."""
    frames = opened(shown.start_request()).advance(0, 99)
    return [msgspec.structs.replace(frame, trace=0) for frame in frames]


def test_the_app_saves_every_branch_and_starts_lost_ones_with_the_same_steps(
    serving: Serve, tmp_path: Path
) -> None:
    server, tree = serving(), trees.Tree[TextFrame]()
    first = tree.add(shown(), "seed 3").trace
    first.receive(computed(first), 0.0)
    other = next(c.token for c in first.frames[4].candidates if c.token != first.frames[4].token)
    fork = tree.fork(4, WriteToken(other), "other").trace
    assert len(fork.frames) == 4
    fork.receive(computed(fork)[4:], 0.0)
    assert fork.frames[:4] == first.frames[:4]
    path = save_tree(saved_tree(tree, tree.branches[1], Machine()), tmp_path / "a.trace")

    down(server)  # all that follows comes from the frames and the file
    for trace in (first, fork):
        trace.lose()
        assert computed(trace) == trace.frames
    opened_tree = trees.Tree[TextFrame]()
    add_saved(load_tree(path), opened_tree)
    for branch, trace in zip(opened_tree.branches, (first, fork), strict=True):
        assert not branch.trace.frames
        assert computed(branch.trace) == trace.frames
    # Saved again before anything was computed, it still has all answers.
    again = saved_tree(opened_tree, opened_tree.branches[0], Machine())
    assert again.recipe.record == load_tree(path).recipe.record


def test_a_branch_from_the_prompt_meets_the_odds_of_its_parent(serving: Serve) -> None:
    server, tree = serving(), trees.Tree[TextFrame]()
    first = tree.add(shown(), "seed 3").trace
    first.receive(computed(first), 0.0)
    server.shift = 5.0
    other = first.frames[0].candidates[-1].token
    fork = tree.fork(0, WriteToken(other), "other").trace
    assert computed(fork)[0].candidates == first.frames[0].candidates


# --- Chats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["llama", "ollama"])
def test_a_chat_is_saved_and_replayed_without_the_server(
    dialect: str, serving: Serve, run: Run, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2")
    server, file = serving(dialect), tmp_path / "a.trace"
    chat = ("--chat", "--system", "be brief", "--prompt", "who is it", "--say", "and why")
    code, out, _ = run(
        "generate", dialect, *chat, "--seed", "3", "--tokens", "9", "--trace", str(file)
    )
    assert code == 0
    assert out.startswith("system: be brief\n\nuser: who is it\n\nassistant: ")
    assert "\n\nuser: and why\n\nassistant: " in out
    assert run("replay", "--again", str(file))[:2] == (0, "identical\n")
    down(server)
    assert run("replay", str(file))[:2] == (0, "identical\n")


def test_a_message_cannot_write_the_special_tokens_of_a_template(serving: Serve, run: Run) -> None:
    pytest.importorskip("jinja2")
    server = serving()
    decode = server.generator.tokenizer.decode
    for message in ("who is it", "who <|im_end|> it"):
        asked = len(server.questions("/completion"))
        run("generate", "llama", "--chat", "--prompt", message, "--tokens", "1")
        text = decode(server.questions("/completion")[asked]["prompt"])
        assert text.count(SPECIAL) == 1  # the template's own
        assert text.endswith(f"{SPECIAL}\nimstartassistant\n")


def test_without_a_template_there_is_no_chat(serving: Serve, run: Run) -> None:
    serving("openai")
    code, _, err = run("generate", "openai", "--chat", "--prompt", "who is it")
    assert code == 2
    assert "this model has no chat template" in err


# --- What goes wrong ----------------------------------------------------------------------------


def _completion(*odds: float) -> bytes:
    top = [{"id": n, "token": chr(97 + n), "logprob": p} for n, p in enumerate(odds)]
    return json.dumps({"completion_probabilities": [{**top[0], "top_logprobs": top}]}).encode()


FAULTS = {
    "error": ((500, b'{"error":{"message":"out of\\u001b[31m memory"}}', {}), "500 (out of"),
    "truncated": ((200, b'{"completion_probabil', {}), "not the reply that was asked for"),
    "shape": ((200, b'{"completion_probabilities":"no"}', {}), "not the reply"),
    "none": ((200, b"{}", {}), "sent no odds"),
    "nan": ((200, _completion(float("nan")), {}), "not the reply"),
    "infinite": ((200, _completion(-1.0).replace(b"-1.0", b"1e999"), {}), "not the reply"),
    "positive": ((200, _completion(3.0, -1.0), {}), "odds that are none"),
    "sum": ((200, _completion(-0.1, -0.1), {}), "add up to more than 1"),
    "redirect": ((302, b"", {"Location": "http://elsewhere.example/"}), "elsewhere.example"),
    "cut": ((200, b"{}", {"Content-Length": "100", "Connection": "close"}), "does not answer"),
    "id": ((200, _completion(-1.0).replace(b'"id": 0', b'"id": 536870913'), {}), "odds that are"),
    "token": (
        (200, _completion(-1.0).replace(b'"a"', b'"' + b"a" * 5000 + b'"'), {}),
        "a token of 5,000 bytes",
    ),
    "huge": ((200, b" " * (client.MAX_REPLY + 1), {}), "sent more than 8 MB"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_server_is_one_line_and_loses_nothing(
    name: str, serving: Serve, run: Run, tmp_path: Path
) -> None:
    reply, says = FAULTS[name]
    server = serving()

    def fault(path: str) -> tuple[int, bytes, dict[str, str]] | None:
        late = len(server.questions("/completion")) > 6  # one of them was of `models add`
        return reply if late and path == "/completion" else None

    whole = run("generate", "llama", *WRITE)[1]
    server.asked.clear()
    server.asked.append(("/completion", None))
    server.fault = fault
    file = tmp_path / "a.trace"
    code, out, err = run("generate", "llama", *WRITE, "--trace", str(file))
    assert code == 1
    assert out == whole[: len("to be") + 5] + "\n"
    *_, line = err.splitlines()
    assert line.startswith(f"genui: {server.url}: ")
    assert says in line
    assert "\x1b" not in err
    # What came is saved, and replayed.
    assert run("replay", str(file))[:2] == (0, "identical\n")


def test_after_a_fault_the_same_trace_goes_on(serving: Serve) -> None:
    server = serving()
    whole = list(opened(start()).advance(0, 12))
    trace = opened(start())
    frames = list(trace.advance(0, 5))
    server.fault = lambda path: (500, b"", {})
    with pytest.raises(Exception, match="answers 500"):
        next(trace.advance(5, 1))
    server.fault = lambda path: None
    frames += trace.advance(5, 7)
    assert frames == whole


def test_a_server_that_hangs_holds_nothing_up(
    serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serving()

    server.fault = hanging(server)
    trace = opened(start())
    steps = trace.advance_or_wait(0, 12)
    assert next(steps) is None
    assert next(steps) is None
    server.release.set()
    while (frame := next(steps)) is None:
        pass
    assert frame.step == 1
    assert len(server.questions("/completion")) == 2  # it was asked once, and by `models add`

    server.release.clear()
    monkeypatch.setattr(client, "ANSWER_S", 0.2)
    forget_models()
    with pytest.raises(Exception, match=r"has not answered for 0.2 s"):
        next(opened(start()).advance(0, 1))


def test_the_worker_cancels_at_once_while_a_server_hangs(serving: Serve, tmp_path: Path) -> None:
    from genui import protocol
    from genui.engine.worker import Worker

    server = serving()
    server.fault = hanging(server)
    replies: list[protocol.Reply] = []

    class Sink:
        """Cancels as soon as the other trace has its first step."""

        def __init__(self) -> None:
            self._reader = protocol.replies()

        def write(self, data: bytes) -> None:
            replies.extend(self._reader.feed(data))

        def flush(self) -> None:
            pass

    class Source:
        """Requests, one after another, each when the replies before have come."""

        def __init__(self) -> None:
            self._parts = iter(
                [
                    (lambda: True, [Hello(), start(), start(trace=2, model="plays")]),
                    (lambda: self._count(Started) == 2, [Advance(trace=1, start=0, steps=12)]),
                    (lambda: True, [Advance(trace=2, start=0, steps=12)]),
                    (lambda: self._count(Idle) == 1, [Cancel(1)]),
                    (lambda: self._count(Idle) == 2, []),
                ]
            )

        def _count(self, kind: type) -> int:
            return sum(isinstance(reply, kind) for reply in replies)

        def read1(self, size: int) -> bytes:
            for ready, requests in self._parts:
                while not ready():
                    time.sleep(0.005)
                if requests:
                    return b"".join(map(protocol.encode, requests))
            return b""

    assert Worker(Source(), Sink()).run() == 0  # type: ignore[arg-type]
    assert not server.release.is_set()
    idle = [reply for reply in replies if isinstance(reply, Idle)]
    assert [(one.trace, one.reason) for one in idle] == [(2, "finished"), (1, "cancelled")]
    assert not any(isinstance(reply, Failed) for reply in replies)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("generate", "llama", "--grammar", "python"), "needs every token's odds"),
        (("generate", "llama", "--prompt", "a<FILL>b"), "fills no <FILL>"),
        (("generate", "llama", "--tokens", "3", "--fork", "1:token=a"), "use text=TEXT"),
        (("generate", "llama", "--tokens", "3", "--attention", "2"), "tokens on this machine"),
        (("train", "--from", "llama"), "cannot be trained on"),
    ],
)
def test_what_needs_the_whole_model_is_refused(
    words: tuple[str, ...], says: str, serving: Serve, run: Run
) -> None:
    serving()
    code, _, err = run(*words)
    assert code == 2
    assert says in err.splitlines()[-1]


# --- Adding and removing ------------------------------------------------------------------------


def test_an_added_model_is_listed_without_asking_and_removed(serving: Serve, run: Run) -> None:
    server = serving()
    server.asked.clear()
    code, out, _ = run("models")
    assert code == 0
    assert f"on {server.url[7:]}, llama-server" in out
    card = run("show", "llama")[1]
    assert "2,048 tokens" in card
    assert "architecture" not in card
    assert not server.asked
    assert run("models", "remove", "llama")[0] == 0
    assert list_records() == {}
    code, _, err = run("models", "remove", "llama")
    assert code == 2
    assert "no name 'llama' was added" in err


def test_adding_the_same_again_is_fine_and_another_under_its_name_is_not(
    serving: Serve, run: Run
) -> None:
    server, other = serving(), serving(add=False)
    assert run("models", "add", server.url, "--name", "llama")[0] == 0
    assert "choose another name" in run("models", "add", other.url, "--name", "llama")[2]
    assert "choose another name" in run("models", "add", other.url, "--name", "plays")[2]
    assert run("models", "add", other.url.removeprefix("http://"))[0] == 0
    assert set(list_records()) == {"llama", "tiny"}


def test_a_server_that_sends_on_is_refused_with_where_it_leads(serving: Serve, run: Run) -> None:
    server = serving(add=False)
    server.fault = lambda path: (302, b"", {"Location": "http://elsewhere.example/"})
    code, _, err = run("models", "add", server.url)
    assert code == 1
    assert "sends on to http://elsewhere.example/" in err


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_of_several_models_one_is_chosen(dialect: str, serving: Serve, run: Run) -> None:
    server = serving(dialect, add=False, models=["tiny", "large"])
    code, _, err = run("models", "add", server.url)
    assert code == 2
    assert "has 2 models; choose with --model: tiny" in err
    assert "has no model 'huge'" in run("models", "add", server.url, "--model", "huge")[2]
    assert run("models", "add", server.url, "--model", "large")[0] == 0
    assert added("large").model.startswith("large")
    assert server.asked[-1][1]["model"].startswith("large")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ftp://localhost", "is no address of a server"),
        ("http://", "is no address of a server"),
        ("http://localhost:99999", "is no address of a server"),
        ("http://my host:8080", "is no address of a server"),
        ("http://me:secret@localhost:1", "no user, password"),
        ("http://me:secret@localhost:99999", "no user, password"),
        ("ftp://me:secret@localhost", "no user, password"),
        ("me:secret@localhost:8080", "no user, password"),
        ("http://localhost:1/?key=secret", "no user, password"),
    ],
)
def test_what_is_no_address_is_refused(address: str, says: str, run: Run) -> None:
    code, _, err = run("models", "add", address)
    assert code == 2
    assert says in err
    assert "secret" not in err
    assert list_records() == {}


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://me:secret@localhost:1", "http://[", "ftp://x"]
)
def test_a_record_with_another_address_is_one_line(url: str, run: Run, capsys: Any) -> None:
    write_record("odd", ServerRecord(url=url, dialect="openai", model="m", top=5))
    code, _, err = run("generate", "odd", "--prompt", "a")
    assert code == 2
    assert "odd.json: " in err
    code, out, _ = run("models")
    assert code == 0
    assert "secret" not in err + out


DRIPS = {
    "head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 99,
    "informational": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "body": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * 100,
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100,
}


@pytest.mark.parametrize("name", DRIPS)
def test_a_reply_that_drips_ends_at_the_deadline(name: str) -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connected, _ = listener.accept()
            with connected, contextlib.suppress(OSError):
                for at in itertools.cycle(range(len(DRIPS[name]))):
                    connected.sendall(DRIPS[name][at : at + 1])
                    if stop.wait(0.002):
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(GenuiError, match=r"has not answered for 0\.3 s"):
                client.Client(url, timeout=0.3).get("/")
        finally:
            stop.set()
            thread.join()


def test_a_server_that_is_none_of_ours(serving: Serve, run: Run) -> None:
    server = serving(add=False)
    server.fault = lambda path: (404, b"<html>", {})
    assert "not as llama-server, Ollama or" in run("models", "add", server.url)[2]
    deep = b'{"default_generation_settings":{"x":' + b"[" * 100_000
    for body in (b"<html>", deep):
        server.fault = lambda path, body=body: (200, body, {})
        assert "not as llama-server, Ollama or" in run("models", "add", server.url)[2]
    long = b'{"version":"' + b"9" * 5000 + b'","models":[]}'
    server.fault = lambda path: (200, long, {})
    assert "has no model; load one" in run("models", "add", server.url)[2]
    server.fault = lambda path: (502, b"", {})
    assert "answers 502 (Bad Gateway)" in run("models", "add", server.url)[2]
    server.fault = lambda path: (401, b'{"error":"who are you?"}', {})
    assert (
        "401 (who are you?); name the environment variable" in (run("models", "add", server.url)[2])
    )


def test_a_server_that_loads_its_model_for_the_first_token_is_waited_for(
    serving: Serve, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given up after the 5 s in which it has to say what it is."""
    server = serving("openai", add=False)
    monkeypatch.setattr("genui.kinds.servers.dialects.ADD_S", 0.3)
    monkeypatch.setattr("genui.kinds.servers.shell.PATIENCE", 0.0)
    server.fault = lambda path: time.sleep(0.6) if path == "/v1/completions" else None
    code, _, err = run("models", "add", server.url)
    assert (code, list(list_records())) == (0, ["tiny"])
    assert "waiting for a token; it may be loading its model" in err


def test_a_server_that_is_still_loading_is_named_as_such(serving: Serve, run: Run) -> None:
    server = serving("llama-server", add=False)
    loading = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
    server.fault = lambda path: (503, loading, {})
    code, _, err = run("models", "add", server.url)
    assert code == 1
    assert "503 (Loading model); it may still be loading its model: try again in a minute" in err
    assert list_records() == {}


def test_an_old_ollama_says_what_to_install(serving: Serve, run: Run) -> None:
    server = serving("ollama", add=False)
    old = (200, b'{"version":"0.11.4"}', {})
    server.fault = lambda path: old if path == "/api/version" else None
    code, _, err = run("models", "add", server.url)
    assert code == 1
    assert "install 0.12.11 or newer" in err


def test_a_server_without_odds_is_not_added(serving: Serve, run: Run) -> None:
    server = serving("openai", add=False)
    plain = (200, b'{"choices":[{"text":"a","logprobs":null}]}', {})
    server.fault = lambda path: plain if path == "/v1/completions" else None
    assert run("models", "add", server.url)[0] == 1
    assert list_records() == {}


def test_fewer_odds_are_asked_where_twenty_are_too_many(serving: Serve, run: Run) -> None:
    server = serving("openai", add=False)

    def fault(path: str) -> tuple[int, bytes, dict[str, str]] | None:
        many = path == "/v1/completions" and server.asked[-1][1]["logprobs"] > 5
        return (400, b'{"error":{"message":"at most 5"}}', {}) if many else None

    server.fault = fault
    assert run("models", "add", server.url)[0] == 0
    assert added("tiny").top == 5


def test_a_key_comes_from_the_environment_and_is_written_nowhere(
    serving: Serve, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sesame")
    server, file = serving("openai", add=False), tmp_path / "a.trace"
    run("models", "add", server.url, "--key-env", "MY_KEY")
    assert set(server.keys) == {"Bearer sesame"}
    run("generate", "tiny", *WRITE, "--trace", str(file))
    assert set(server.keys) == {"Bearer sesame"}
    assert "sesame" not in record_file("tiny").read_text() + file.read_text()
    monkeypatch.delenv("MY_KEY")
    code, _, err = run("generate", "tiny", *WRITE)
    assert code == 1
    assert "the environment variable MY_KEY, which is not set" in err
    assert "not the key" in run("models", "add", server.url, "--key-env", "sk-12345")[2]


def test_a_damaged_record_of_answers_is_one_line(serving: Serve) -> None:
    serving()
    with pytest.raises(Exception, match="record of the server's answers is damaged"):
        opened(start(record=b"nonsense"))

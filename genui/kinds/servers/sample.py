"""Text from a model on a server: the server gives the odds, and the token is chosen here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from genui.base.calls import Call
from genui.base.errors import MisuseError
from genui.base.text import clean
from genui.engine.data.tokenizer import ByteTokenizer, strip_last_space
from genui.engine.device import Machine
from genui.engine.loading import LoadProgress
from genui.engine.sample.chat import continue_chat, open_chat
from genui.engine.sample.logits import (
    NEVER,
    Distribution,
    Draw,
    distribution,
    draw_token,
    entropy,
    needs_history,
)
from genui.engine.sample.text import split_utf8
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.tokens import WritingState
from genui.engine.sample.trace import Generator, NotReadyError, expect_settings
from genui.hub import records
from genui.hub.open_model import OpenModel
from genui.kinds.servers import client
from genui.kinds.servers.dialects import DIALECTS, Prefix
from genui.kinds.servers.model import FAMILY, ServerRecord
from genui.kinds.servers.odds import END, Odds, Parts, Token, is_message
from genui.kinds.servers.record import Node, pack_step, read_record
from genui.protocol import (
    FILL,
    Candidate,
    Edit,
    Piece,
    SendMessage,
    SetSeed,
    SetSettings,
    Settings,
    Start,
    Started,
    TextFrame,
    TextSettings,
    WriteText,
    WriteToken,
    join_pieces,
)

POLL_S = 0.05
"""Seconds for which a step waits for the server before other requests have their turn."""

SPLIT_S = 10.0
"""Seconds for which a text written by hand waits until the server has split it into tokens."""


@dataclass(eq=False)
class Conversation:
    """The common part of the branches of one trace: the server's prompt, and its tokens."""

    prefix: Prefix
    spelled: dict[int, bytes]


@dataclass(frozen=True, kw_only=True)
class ServerState(WritingState):
    """The text so far, as a node of all that the server was asked in this trace. Its tokens come
    after the prompt, for which a server need not give ids."""

    node: Node
    conversation: Conversation
    ended: bool = False
    pending: bytes = b""  # the first bytes of an incomplete character
    # Of a chat: the roles of its messages, and the message that the next frame shows before its
    # token.
    roles: tuple[str, ...] = ()
    message: tuple[Piece, ...] = ()

    @property
    def total(self) -> int:
        """The number of tokens: the budget, or fewer if the text ended."""
        return self.step if self.ended else self.token_budget


class ServerTemplate(ByteTokenizer):
    """The tokenizer of a chat template. The tokens are the server's; of its own only the two that a
    template may write by name are used."""

    begin, end = 0, 1

    def __init__(self, record: ServerRecord) -> None:
        self.chat_template = record.chat_template
        self.special = {0: record.begin, 1: record.end}


class ServerGenerator(Generator):
    """A `trace.Generator` that asks a server for the odds of each token.

    The odds that have come are kept with the trace, so that going back, forks and replay meet the
    same ones; a server may answer differently when it is asked again.
    """

    family = FAMILY

    def __init__(self, record: ServerRecord) -> None:
        self._record = record
        self._dialect = DIALECTS[record.dialect]
        self._client = client.Client(record.url, record.key_env)
        self._template = ServerTemplate(record)

    def begin(self, request: Start) -> tuple[ServerState, Started]:
        """The first state; nothing is asked yet. Raises MisuseError for a prompt with a gap, and
        for a chat as `open_chat` does."""
        settings = self._check_settings(request.settings)
        pieces, roles = (Piece("text", strip_last_space(request.prompt)),), ()
        if request.chat:
            turn = open_chat(self._template, request.system, request.prompt)
            pieces, roles = turn.pieces, turn.roles
        elif FILL in request.prompt:
            raise MisuseError(f"prompt: a model on a server fills no {FILL}; leave it out")
        node = read_record(request)
        prefix = self._dialect.open(self._client, self._record, _parts(pieces))
        state = ServerState(
            token_ids=TokenList(()),
            step=0,
            seed=request.seed,
            settings=settings,
            node=node,
            conversation=Conversation(prefix, _spelled(node)),
            roles=roles,
        )
        shown = pieces if request.chat else ()
        note = self._describe_limits(bool(request.record))
        return state, self.describe_start(
            request, state, join_pieces(pieces), "text", note, pieces=shown
        )

    def _describe_limits(self, recorded: bool) -> str:
        """The limits of a server."""
        of = f" of {self._record.vocabulary:,}" if self._record.vocabulary else ""
        note = f"the server gives {self._record.top}{of} tokens a step, and genui chooses of those"
        if recorded:
            return f"{note}; the steps of the file come from its record"
        return f"{note}; asked again it may answer otherwise, so a saved file keeps the answers"

    def step(self, state: ServerState) -> tuple[ServerState, TextFrame]:
        """The next token. Raises NotReadyError until the server has answered, or GenuiError."""
        odds = self._ask(state)
        state.conversation.spelled.update((t.id, t.text) for t in odds.tokens)
        frame, token = self._choose(state, odds)
        text, pending = split_utf8(state.pending + token.text)
        after = replace(
            state,
            token_ids=state.token_ids.appended(token.id),
            step=frame.step,
            node=state.node.child(token),
            ended=not token.text,
            pending=pending,
            message=(),
        )
        special = "" if token.text else clean(self._record.end)
        return after, msgspec.structs.replace(
            frame, text=text, before=state.message, special=special
        )

    def _ask(self, state: ServerState) -> Odds:
        """The odds of the next token, from memory if they came before."""
        node = state.node
        if node.odds is None:
            if node.call is None:
                prefix = state.conversation.prefix
                node.call = Call(lambda: prefix.next(node.tokens()))
            if not node.call.wait(POLL_S):
                if node.call.seconds < client.ANSWER_S + client.ADD_S:
                    raise NotReadyError
                node.call = None  # the next try asks again
                raise self._client.silent()
            call, node.call = node.call, None
            odds = call.result()
            # The end is a token like others: it is shown, and another may be chosen.
            odds = node.odds = odds if odds.tokens else Odds((END,), (0.0,))
            return odds
        return node.odds

    def _choose(self, state: ServerState, odds: Odds) -> tuple[TextFrame, Token]:
        """The frame of the next token, without its text, and the token.

        Only the tokens that the server has listed can be drawn, as if the others had been filtered.
        They are put in the order of their ids, as in a whole vocabulary, and penalties read what
        was written after the prompt.
        """
        step, settings, forced = state.step + 1, state.settings, state.forced
        listed = {token.id: logprob for token, logprob in zip(*odds, strict=True)}
        history = state.token_ids.since(0) if needs_history(settings) else None
        ids = sorted({*listed, *(() if history is None else history.tolist())})
        place = {token: at for at, token in enumerate(ids)}
        if forced is not None and forced not in place:
            place[forced] = len(ids)
            ids.append(forced)
        logits = np.array([listed.get(token, NEVER) for token in ids])
        if history is not None:
            history = np.array([place[token] for token in history.tolist()], np.int64)
        if forced is None:
            sampled, draw = draw_token(logits, settings, history, (state.seed, step))
        else:
            sampled, draw = distribution(logits, settings, history), Draw(place[forced], 0, 0, 0)
        chosen = Token(ids[draw.token], state.conversation.spelled[ids[draw.token]])
        model = np.exp(np.array(odds.logprobs))
        rest = max(0.0, 1.0 - float(model.sum()))
        shown, likelihood = list(odds.tokens), rest  # the most that one not listed can have
        if chosen.id in listed:
            likelihood = float(np.exp(listed[chosen.id]))
        else:
            shown.append(chosen)
        frame = TextFrame(
            trace=0,
            step=step,
            token=chosen.id,
            text="",
            surprisal=float(-np.log2(max(likelihood, 1e-30))),
            entropy=entropy(np.append(model, rest)),
            candidates=tuple(
                _candidate(token, listed.get(token.id), sampled, place[token.id]) for token in shown
            ),
            sampled_entropy=entropy(sampled.probability),
            u=draw.u,
            low=draw.low,
            high=draw.high,
            forced=forced is not None,
            kept=sampled.kept,
            rest=rest,
            vocabulary=self._record.vocabulary,
            received=pack_step(
                odds, chosen, state.node.token if is_message(state.node.token) else None
            ),
        )
        return frame, chosen

    def edit(self, state: ServerState, edit: Edit) -> ServerState:
        """Change the settings, the seed or the tokens to write by hand, from the next token on."""
        if isinstance(edit, SendMessage):
            return self._add_message(state, edit.text)
        if state.ended:
            raise MisuseError(f"the text ended at step {state.step}: edit it at an earlier step")
        match edit:
            case SetSettings(settings=settings):
                return replace(state, settings=self._check_settings(settings))
            case SetSeed(seed=seed):
                return replace(state, seed=seed)
            case WriteText(text=text):
                tokens = self._split(state, text)
                state.conversation.spelled.update(tokens)
                written = tuple(token.id for token in tokens)
            case WriteToken(token=token):
                if token not in state.conversation.spelled:
                    raise MisuseError(
                        f"token {token}: the server has not listed it; write its text instead"
                    )
                written = (token,)
            case _:
                tag = type(edit).__struct_config__.tag
                raise MisuseError(
                    f"'{tag}' does not suit a model on a server; it takes other settings, a seed, "
                    "a text or a token"
                )
        return replace(state, written=written, written_from=state.step)

    def _add_message(self, state: ServerState, message: str) -> ServerState:
        """The state in which the model answers the next message. Raises MisuseError as
        `continue_chat` does, and for a text that is no chat."""
        if not state.roles:
            raise MisuseError("only a chat takes messages: begin one with the model's template")
        if state.message:
            raise MisuseError("a message was said at this step: say another before it, or later")
        turn = continue_chat(self._template, state.roles, message, None)
        token = state.conversation.prefix.encode_message(_parts(turn.pieces))
        return replace(
            state,
            node=state.node.child(token),
            ended=False,
            pending=b"",
            written=(),
            written_from=state.step,
            roles=turn.roles,
            answer_from=state.step,
            message=turn.pieces,
        )

    def _split(self, state: ServerState, text: str) -> tuple[Token, ...]:
        """The tokens of a text written by hand: the tokens of the record, or as the server splits
        the text."""
        tokens = state.node.find_text(text.encode("utf-8", "replace"))
        if tokens is None:
            prefix = state.conversation.prefix
            call = Call(lambda: prefix.split(text))
            if not call.wait(SPLIT_S):
                raise self._client.silent()
            tokens = call.result()
        if not tokens:
            raise MisuseError("the text is empty: write at least one character")
        return tokens

    def _check_settings(self, settings: Settings) -> TextSettings:
        checked = expect_settings(settings, TextSettings)
        for name in ("grammar", "watermark"):
            if (value := getattr(checked, name)) != "none":
                raise MisuseError(
                    f"{name} {value}: needs every token's odds, and a server lists some; "
                    "set it to none"
                )
        return checked


def _candidate(token: Token, logprob: float | None, sampled: Distribution, place: int) -> Candidate:
    """A token as a candidate; None is the logprob of one that the server has not listed."""
    return Candidate(
        token=token.id,
        text=clean(token.text.decode("utf-8", "replace")) if token.text else "<end>",
        model=float(np.exp(-np.inf if logprob is None else logprob)),
        sampled=float(sampled.probability[place]),
        logit=NEVER if logprob is None else logprob,
        dropped=sampled.dropped(place),
    )


def _parts(pieces: Iterable[Piece]) -> Parts:
    """The pieces that a model reads, for a server."""
    return tuple(
        (piece.kind == "template", piece.text) for piece in pieces if piece.kind != "label"
    )


def _spelled(root: Node) -> dict[int, bytes]:
    """The bytes of every token that a record has."""
    spelled: dict[int, bytes] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if not is_message(node.token):
            spelled[node.token.id] = node.token.text
        if node.odds is not None:
            spelled.update((t.id, t.text) for t in node.odds.tokens)
        stack += node.children.values()
    return spelled


def load_server_model(
    model: OpenModel, machine: Machine, progress: LoadProgress
) -> ServerGenerator:
    """The generator of a model on a server, which is asked when a trace takes its first step."""
    return ServerGenerator(records.read_record(model.path, ServerRecord))

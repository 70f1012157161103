"""Records: the answers of a model on a server, so that its texts can be replayed without it.

A server need not give the same odds twice, so a saved file holds them: for each step the tokens
that the server listed, with the logarithms of their probabilities in four bytes each. The steps of
all branches of a trace form one tree, in which a prefix occurs once.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from genui.base.errors import GenuiError
from genui.formats.kinds import Change, RecordedText
from genui.kinds.servers.odds import Odds, Token, is_message, token_from_message
from genui.protocol import Start, TextFrame

MAX_BYTES = 64 << 20
"""The largest record, unpacked: more than 100,000 steps."""


class Node:
    """A text so far: its last token, and the odds of the next once they are known.

    `parent` is None for a prompt, whose token is empty. Odds never change.
    """

    __slots__ = ("call", "children", "odds", "parent", "token")

    def __init__(self, token: Token, parent: "Node | None" = None) -> None:
        self.token, self.parent = token, parent
        self.odds: Odds | None = None
        self.children: dict[int, Node] = {}
        self.call: Any = None  # the question to the server that is not answered yet

    def child(self, token: Token) -> "Node":
        """The text with one more token."""
        if token.id not in self.children:
            self.children[token.id] = Node(token, self)
        return self.children[token.id]

    def tokens(self) -> list[Token]:
        """The tokens after the prompt."""
        tokens: list[Token] = []
        node = self
        while node.parent is not None:
            tokens.append(node.token)
            node = node.parent
        return tokens[::-1]

    def find_text(self, text: bytes) -> tuple[Token, ...] | None:
        """The tokens after this text that spell `text`, if it was continued so."""
        stack: list[tuple[Node, bytes, tuple[Token, ...]]] = [(self, text, ())]
        while stack:
            node, left, taken = stack.pop()
            if not left:
                return taken
            for child in node.children.values():
                if (
                    child.token.text
                    and not is_message(child.token)
                    and left.startswith(child.token.text)
                ):
                    rest = left[len(child.token.text) :]
                    stack.append((child, rest, (*taken, child.token)))
        return None


# --- One step, as its frame carries it ----------------------------------------------------------


class Step(NamedTuple):
    """The odds by which a step was chosen, the token, which need not be among them, and the message
    of a chat before it."""

    odds: Odds
    token: Token
    message: Token | None = None


def pack_step(odds: Odds, token: Token, message: Token | None = None) -> bytes:
    tokens = [*odds.tokens, token]
    ids = struct.pack(f"<{len(tokens)}I", *(one.id for one in tokens))
    logprobs = struct.pack(f"<{len(odds.logprobs)}f", *odds.logprobs)
    said_before = b"" if message is None else message.text
    return msgspec.msgpack.encode((ids, logprobs, [one.text for one in tokens], said_before))


def unpack_step(data: bytes) -> Step:
    """Unpack the data of `pack_step`. Raises ValueError if it is damaged."""
    try:
        raw, numbers, texts, message = msgspec.msgpack.decode(
            data, type=tuple[bytes, bytes, list[bytes], bytes]
        )
        ids = [one for (one,) in struct.iter_unpack("<I", raw)]
        logprobs = [one for (one,) in struct.iter_unpack("<f", numbers)]
    except (msgspec.DecodeError, struct.error) as error:
        raise ValueError(str(error)) from None
    if not len(ids) == len(texts) == len(logprobs) + 1 or max(ids) >= 1 << 31:
        raise ValueError("a step with too many or too few tokens")
    if not all(-math.inf < one <= 0 for one in logprobs):
        raise ValueError("odds that are none")
    *tokens, token = map(Token, ids, texts)
    said_before = token_from_message(message.decode("utf-8", "replace")) if message else None
    return Step(Odds(tuple(tokens), tuple(logprobs)), token, said_before)


# --- A whole record -----------------------------------------------------------------------------


class _Packed(msgspec.Struct, array_like=True):
    """The texts of a record. Step n of a text belongs to the parent that it names: -1 is the
    prompt, m the text after step m."""

    prompt: str
    seed: int
    parents: list[int]
    steps: list[bytes]


def _key(start: Start) -> tuple[str, int]:
    """The inputs that the answers of a text depend on: prompt and first seed."""
    prompt = f"{start.system}\0{start.prompt}" if start.chat else start.prompt
    return prompt, start.seed


def record_texts(texts: Iterable[RecordedText], known: bytes) -> bytes:
    """The record of texts, together with a `known` record.

    Empty if no frame holds an answer of a server.
    """
    roots = dict(_unpack(known)) if known else {}
    for start, frames in texts:
        written = [f for f in frames if isinstance(f, TextFrame) and f.received]
        if not written:
            continue
        node = roots.setdefault(_key(start), Node(_NONE))
        for frame in written:
            node = _add(node, unpack_step(frame.received))
    if not roots:
        return b""
    packed = [_pack(prompt, seed, root) for (prompt, seed), root in roots.items()]
    return zlib.compress(msgspec.msgpack.encode(packed), 9)


_NONE = Token(0, b"")


def _add(node: Node, step: Step) -> Node:
    """The text after one more step."""
    if step.message is not None:
        node = node.child(step.message)
    node.odds = node.odds or step.odds
    return node.child(step.token)


def _pack(prompt: str, seed: int, root: Node) -> _Packed:
    packed = _Packed(prompt, seed, [], [])
    stack = [(child, root, -1) for child in root.children.values()]
    while stack:
        node, parent, number = stack.pop()
        if not is_message(node.token):
            message = parent.token if is_message(parent.token) else None
            packed.parents.append(number)
            packed.steps.append(pack_step(parent.odds or Odds(), node.token, message))
            number = len(packed.steps) - 1
        stack += [(child, node, number) for child in node.children.values()]
    return packed


def read_record(start: Start) -> Node:
    """The text in the record of a request; an empty one if it has none.

    Raises GenuiError if the record is damaged.
    """
    return dict(_unpack(start.record)).get(_key(start)) or Node(_NONE)


def _unpack(record: bytes) -> Iterator[tuple[tuple[str, int], Node]]:
    if not record:
        return
    try:
        unzip = zlib.decompressobj()
        data = unzip.decompress(record, MAX_BYTES)
        if not unzip.eof:
            raise ValueError("it does not end")
        for packed in msgspec.msgpack.decode(data, type=list[_Packed]):
            nodes = [Node(_NONE)]
            for at, step in zip(packed.parents, packed.steps, strict=True):
                if not -1 <= at < len(nodes) - 1:
                    raise ValueError("a step without the one before it")
                nodes.append(_add(nodes[at + 1], unpack_step(step)))
            yield (packed.prompt, packed.seed), nodes[0]
    except (ValueError, zlib.error, msgspec.DecodeError, UnicodeError):
        raise GenuiError(
            "its record of the server's answers is damaged; use the file as it was written"
        ) from None


def first_change(record: bytes, texts: Iterable[RecordedText]) -> Change | None:
    """The first step of the texts whose odds differ from the record; None if none does."""
    roots, changes = dict(_unpack(record)), []
    for start, frames in texts:
        node: Node | None = roots.get(_key(start))
        for frame in frames:
            if node is None or not isinstance(frame, TextFrame):
                break
            odds, token, message = unpack_step(frame.received)
            node = node.children.get(message.id) if message is not None else node
            if node is None or node.odds is None:
                break
            if odds != node.odds:
                changes.append(Change(frame.step, _difference(node.odds, odds)))
                break
            node = node.children.get(token.id)
    return min(changes, default=None)


def _difference(one: Odds, other: Odds) -> float:
    """The largest difference between the probabilities of a token; 0 for one that is not listed."""
    a, b = ({t.id: math.exp(p) for t, p in zip(*odds, strict=True)} for odds in (one, other))
    return max(abs(a.get(token, 0.0) - b.get(token, 0.0)) for token in a.keys() | b.keys())

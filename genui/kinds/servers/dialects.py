"""Models on a server: llama-server, Ollama, vLLM and others that speak OpenAI's protocol.

A server is asked for one token at a time, with the odds of the likeliest ones; the token is chosen
here. Data are sent only to the address of the record (`client`), and the contents of replies are
checked.
"""

import contextlib
import http.client
import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from genui.base.errors import GenuiError, MisuseError
from genui.base.files import sanitize, show
from genui.hub.open_model import OpenModel
from genui.hub.records import SUFFIX, read_record
from genui.kinds.servers.client import ADD_S, Client, StatusError, parse_address, reply_error
from genui.kinds.servers.model import FAMILY, FORMAT, ServerRecord
from genui.kinds.servers.odds import (
    END,
    FIRST_MESSAGE,
    Odds,
    Parts,
    Token,
    is_message,
    token_from_message,
    token_from_text,
)

# --- Records of servers -----------------------------------------------------------------------


def describe(path: Path) -> OpenModel:
    """The model of a record; the server is not asked. Raises GenuiError if it is damaged."""
    record = read_record(path, ServerRecord)
    dialect = _dialect_of(record, path)
    try:
        parse_address(record.url)
    except MisuseError as error:
        raise MisuseError(f"{show(path)}: {error}") from None
    named = sanitize(record.model.rpartition("/")[2], 80) or "a model"
    return OpenModel(
        path=path,
        format=FORMAT,
        family=FAMILY,
        name=path.name.removesuffix(SUFFIX),
        parameters=record.parameters,
        context=record.context,
        licence=record.licence,
        chat=bool(record.chat_template),
        summary=f"{named} on {urlsplit(record.url).netloc}, {dialect.title}",
    )


def _dialect_of(record: ServerRecord, path: Path) -> "Dialect":
    dialect = DIALECTS.get(record.dialect)
    if dialect is None:
        raise MisuseError(
            f"{show(path)}: asks in a way that this genui does not know "
            f"({sanitize(record.dialect, 40)!r}); add the address again"
        )
    return dialect


def add_address(address: str, model: str = "", key_env: str = "") -> ServerRecord:
    """Ask a server for its model and one token, and return the record of the model.

    Raises MisuseError for an address that is none, or if `model` does not say which of several;
    GenuiError if the server does not answer or gives no odds.
    """
    url = parse_address(address)
    if key_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key_env):
        raise MisuseError(
            f"--key-env {sanitize(key_env, 40)!r}: name the environment variable that holds the "
            "key, not the key"
        )
    client = Client(url, key_env, timeout=ADD_S)
    for name, dialect in DIALECTS.items():
        record = dialect.find(client, model)
        if record is not None:
            record = replace(record, url=url, dialect=name, key_env=key_env)
            return _probe(Client(url, key_env), record)
    raise GenuiError(
        f"{url}: answers, but not as llama-server, Ollama or an OpenAI-compatible server; give the "
        "address under which it has /v1/completions"
    )


MOST = 256
"""The number of tokens of a reply that are used."""

LONGEST_TOKEN = 1024
"""Bytes."""

TOP = 20
"""The number of likeliest tokens that a server is asked for."""

FEWER = 5
"""The most that OpenAI's own completions give."""


_PROBE = ((False, "Once upon a time"),)


def _probe(client: "Client", record: ServerRecord) -> ServerRecord:
    """The record with the number of tokens for which the server gives odds."""
    for top in (TOP, FEWER):
        record = replace(record, top=top)
        try:
            odds = DIALECTS[record.dialect].open(client, record, _PROBE).next([])
        except StatusError as error:
            if error.status == http.client.BAD_REQUEST and top != FEWER:
                continue
            raise
        if odds.tokens:
            return record
        break
    raise GenuiError(
        f"{client.url}: gives no odds of tokens for {sanitize(record.model, 80)!r}, which genui "
        "needs to choose one; try a newer version of the server, or another model"
    )


# --- Replies ----------------------------------------------------------------------------------


def rank(pairs: Sequence[tuple[Token, float]], url: str) -> Odds:
    """Checked odds. Raises GenuiError if they are no logarithms of probabilities."""
    best: dict[int, tuple[Token, float]] = {}
    for token, logprob in pairs:
        if not -math.inf <= logprob <= 0.01 or not 0 <= token.id < 1 << 31 or is_message(token):
            raise reply_error(url, "odds that are none")
        if len(token.text) > LONGEST_TOKEN:
            raise reply_error(url, f"a token of {len(token.text):,} bytes")
        if logprob < _LEAST:
            continue
        if token.id in best:  # two tokens of one spelling
            logprob = math.log(math.exp(logprob) + math.exp(best[token.id][1]))
        best[token.id] = (token, logprob)
    if sum(math.exp(logprob) for _, logprob in best.values()) > 1.05:
        raise reply_error(url, "odds that add up to more than 1")
    ranked = sorted(best.values(), key=lambda pair: (-pair[1], pair[0].id))[:MOST]
    return Odds(
        tuple(token for token, _ in ranked),
        tuple(_rounded(min(logprob, 0.0)) for _, logprob in ranked),
    )


T = TypeVar("T")

_LEAST = -1000.0
"""Logarithms below mean that a token cannot come."""


def _rounded(number: float) -> float:
    """The number as it is kept in four bytes, so that a record has the same bits."""
    return struct.unpack("<f", struct.pack("<f", number))[0]


_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _Named(msgspec.Struct):
    """A token in any of the shapes that servers use."""

    id: int = -1
    token: str = ""
    raw: list[_Byte] | None = msgspec.field(default=None, name="bytes")
    logprob: float | None = None

    def pair(self) -> tuple[Token, float]:
        text = bytes(self.raw) if self.raw else self.token.encode("utf-8", "replace")
        chance = -math.inf if self.logprob is None else self.logprob
        return (Token(self.id, text) if self.id >= 0 else token_from_text(text)), chance


class _Step(_Named):
    """The odds of one position in any of the shapes that servers use."""

    top_logprobs: list[_Named] = []

    def odds(self, url: str) -> Odds:
        return rank([one.pair() for one in self.top_logprobs or [self]], url)


_NO_REPLY = (msgspec.DecodeError, RecursionError, ValueError)
"""Errors of decoding what is not the reply that was asked for."""


def _decode(data: bytes, kind: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except _NO_REPLY:
        raise reply_error(url, "what is not the reply that was asked for") from None


# --- Dialects ---------------------------------------------------------------------------------


class Prefix(Protocol):
    """A prompt on a server, and what follows it."""

    def next(self, written: Sequence[Token]) -> Odds:
        """The odds of the token after the prompt and `written`. Raises GenuiError."""
        ...

    def split(self, text: str) -> tuple[Token, ...]:
        """The tokens of a text that follows. Raises GenuiError."""
        ...

    def encode_message(self, parts: Parts) -> Token:
        """The token that stands for a message of a chat."""
        ...


class Dialect(Protocol):
    """A way to ask a server."""

    title: str

    def find(self, client: Client, model: str) -> ServerRecord | None:
        """The server's description of its model; None if it speaks another dialect."""
        ...

    def open(self, client: Client, record: ServerRecord, prompt: Parts) -> Prefix: ...


def choose_model(names: Sequence[str], model: str, url: str) -> str:
    """The name of the model that is meant. Raises MisuseError if it is not clear."""
    if model in names or (model and not names):
        return model
    if not model and len(names) == 1:
        return names[0]
    if not names:
        raise MisuseError(f"{url}: has no model; load one there first")
    some = sanitize(", ".join(names[:12]), 300)
    fault = f"has no model {sanitize(model, 80)!r}" if model else f"has {len(names)} models"
    raise MisuseError(f"{url}: {fault}; choose with --model: {some}")


class _Settings(msgspec.Struct):
    n_ctx: int = 0


class _Props(msgspec.Struct):
    default_generation_settings: _Settings
    model_alias: str | None = None
    model_path: str | None = None
    chat_template: str | None = None
    bos_token: str | None = None
    eos_token: str | None = None


class _ModelMeta(msgspec.Struct):
    n_vocab: int = 0
    n_params: int = 0


class _ListedModel(msgspec.Struct):
    id: str
    max_model_len: int | None = None
    meta: _ModelMeta | None = None


class _ModelList(msgspec.Struct):
    data: list[_ListedModel]


class _Completion(msgspec.Struct):
    completion_probabilities: list[_Step] = []
    stop_type: str = ""


_TokenId = Annotated[int, msgspec.Meta(ge=0, lt=FIRST_MESSAGE)]


class _TokenIds(msgspec.Struct):
    tokens: list[_TokenId]


class _Piece(msgspec.Struct):
    id: _TokenId
    piece: str | list[_Byte]


class _Pieces(msgspec.Struct):
    tokens: list[_Piece]


class LlamaServer:
    """llama-server of llama.cpp: token ids in, ids, bytes and odds out."""

    title = "llama-server"

    def find(self, client: Client, model: str) -> ServerRecord | None:
        try:
            props = msgspec.json.decode(client.find("/props") or b"null", type=_Props)
        except _NO_REPLY:
            return None
        name = props.model_alias or Path(props.model_path or "model").stem
        meta = _ModelMeta()
        with contextlib.suppress(*_NO_REPLY):
            listed = msgspec.json.decode(client.find("/v1/models"), type=_ModelList).data
            meta = next((one.meta for one in listed if one.meta), meta)
        choose_model([name], model, client.url)
        return ServerRecord(
            model=name,
            context=props.default_generation_settings.n_ctx,
            vocabulary=meta.n_vocab,
            parameters=meta.n_params,
            chat_template=_template(props.chat_template),
            begin=props.bos_token or "",
            end=props.eos_token or "",
        )

    def open(self, client: Client, record: ServerRecord, prompt: Parts) -> Prefix:
        return _LlamaPrefix(client, record, prompt)


LONGEST_TEMPLATE = 256 << 10  # characters


def _template(source: object) -> str:
    """A chat template as a server gives it; "" if there is none."""
    return source if isinstance(source, str) and len(source) <= LONGEST_TEMPLATE else ""


def flatten(parts: Parts) -> str:
    return "".join(text for _, text in parts)


class _LlamaPrefix:
    def __init__(self, client: Client, record: ServerRecord, prompt: Parts) -> None:
        self._client, self._record, self._prompt = client, record, prompt
        self._ids: dict[Parts, list[int]] = {}
        self._messages: dict[int, Parts] = {}

    def next(self, written: Sequence[Token]) -> Odds:
        body = {
            "prompt": self._read(written) or "",
            "n_predict": 1,
            "n_probs": self._record.top,
            "cache_prompt": True,
            "stream": False,
            # It takes a token itself, and gives no odds, or fails, if the token is a part of a
            # character. So it is made to take a plain one, which leaves the odds as they are.
            "logit_bias": [["a", 1000.0]],
        }
        url = self._client.url
        completion = _decode(self._client.post("/completion", body), _Completion, url)
        if not completion.completion_probabilities:
            if completion.stop_type == "eos":
                return Odds()
            raise reply_error(url, "no odds")
        if completion.completion_probabilities[0].id < 0:
            raise reply_error(url, "no token ids, as a llama-server before December 2024 does")
        return completion.completion_probabilities[0].odds(url)

    def encode_message(self, parts: Parts) -> Token:
        token = token_from_message(flatten(parts))
        self._messages[token.id] = parts
        return token

    def _read(self, written: Sequence[Token]) -> list[int]:
        """The ids of the prompt and of what follows it."""
        ids, last = [*self._encode(self._prompt)], END
        for token in written:
            if is_message(token):
                message = self._encode(self._messages[token.id])
                # The template writes the end of an answer, and so may the model have done.
                ids += message[1:] if not last.text and message[:1] == [last.id] else message
            elif token.id != END.id:
                ids.append(token.id)
            last = token
        return ids

    def _encode(self, parts: Parts) -> list[int]:
        """The ids of a text; only a template may write special tokens."""
        if parts not in self._ids:
            plain = [text for is_template, text in parts if not is_template]
            if len(plain) == len(parts):
                ids = self._tokenize(flatten(parts), add_special=True)
            elif all(self._is_plain(text) for text in plain):
                ids = self._tokenize(flatten(parts), parse_special=True)
            else:
                ids = [
                    token
                    for is_template, text in parts
                    for token in self._tokenize(text, parse_special=is_template)
                ]
            self._ids[parts] = ids
        return self._ids[parts]

    def _is_plain(self, text: str) -> bool:
        """Whether a text spells no special token."""
        return self._tokenize(text) == self._tokenize(text, parse_special=True)

    def split(self, text: str) -> tuple[Token, ...]:
        """The tokens of a text as llama-server splits it: marks of a template are plain text."""
        body = {"content": text, "parse_special": False, "with_pieces": True}
        reply = self._client.post("/tokenize", body)
        pieces = _decode(reply, _Pieces, self._client.url).tokens
        return tuple(
            Token(
                piece.id,
                piece.piece.encode() if isinstance(piece.piece, str) else bytes(piece.piece),
            )
            for piece in pieces
        )

    def _tokenize(
        self, text: str, add_special: bool = False, parse_special: bool = False
    ) -> list[int]:
        body = {"content": text, "add_special": add_special, "parse_special": parse_special}
        return _decode(self._client.post("/tokenize", body), _TokenIds, self._client.url).tokens


_TEMPERATURES = (0.0, 5.0, 5.0, 5.0, 5.0)
"""The temperatures for the token that a server takes itself; the odds do not depend on them."""

Ask = Callable[[str, float, int], tuple[Odds, bool]]
"""A text, a temperature and a seed to the odds of the next token, if the server gives them, and
whether the text ends."""


class _TextPrefix:
    """A prefix that is sent as text, which the server splits into tokens at each step."""

    def __init__(self, ask: Ask, prompt: Parts, url: str) -> None:
        self._ask, self._prompt, self._url = ask, flatten(prompt), url

    def next(self, written: Sequence[Token]) -> Odds:
        """The odds. Some servers give none if the token that they take themselves ends the text or
        is a part of a character; they are asked again until they take another."""
        text, ends = self._prompt + text_of(written), False
        for seed, temperature in enumerate(_TEMPERATURES):
            odds, ends = self._ask(text, temperature, seed)
            if odds.tokens:
                return odds
        if ends:
            return Odds()
        raise reply_error(self._url, "no odds")

    def encode_message(self, parts: Parts) -> Token:
        return token_from_message(flatten(parts))

    def split(self, text: str) -> tuple[Token, ...]:
        """The words of the text, each with the space before it."""
        words = re.findall(r"\s*\S+|\s+$", text)
        return tuple(token_from_text(word.encode("utf-8", "replace")) for word in words)


def text_of(written: Sequence[Token]) -> str:
    return b"".join(token.text for token in written).decode("utf-8", "replace")


class _OllamaModel(msgspec.Struct):
    name: str


class _OllamaModels(msgspec.Struct):
    models: list[_OllamaModel]


class _OllamaVersion(msgspec.Struct):
    version: str


class _OllamaShow(msgspec.Struct):
    model_info: dict[str, Any] = {}


class _OllamaReply(msgspec.Struct):
    logprobs: list[_Step] | None = None
    done_reason: str = ""


class Ollama:
    """Ollama from 0.12.11 on: the raw text in, token texts and odds out."""

    title = "Ollama"
    LEAST = (0, 12, 11)

    def find(self, client: Client, model: str) -> ServerRecord | None:
        try:
            version = msgspec.json.decode(client.find("/api/version"), type=_OllamaVersion).version
            listed = msgspec.json.decode(client.find("/api/tags"), type=_OllamaModels).models
        except _NO_REPLY:
            return None
        numbers = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])
        if any(numbers) and numbers < self.LEAST:
            least = ".".join(map(str, self.LEAST))
            raise GenuiError(
                f"{client.url}: is Ollama {sanitize(version, 20)}, which gives no odds of tokens; "
                f"install {least} or newer"
            )
        names = [one.name for one in listed]
        if f"{model}:latest" in names:
            model = f"{model}:latest"
        name = choose_model(names, model, client.url)
        shown = _OllamaShow()
        with contextlib.suppress(*_NO_REPLY):
            shown = msgspec.json.decode(client.find("/api/show", {"model": name}), type=_OllamaShow)
        info = shown.model_info
        licence = info.get("general.license")
        return ServerRecord(
            model=name,
            context=_number(info, ".context_length"),
            vocabulary=_number(info, ".vocab_size"),
            parameters=_number(info, ".parameter_count"),
            licence=sanitize(licence, 80) if isinstance(licence, str) else "",
            chat_template=_template(info.get("tokenizer.chat_template")),
        )

    def open(self, client: Client, record: ServerRecord, prompt: Parts) -> Prefix:
        def ask(text: str, temperature: float, seed: int) -> tuple[Odds, bool]:
            options = {"num_predict": 1, "temperature": temperature, "seed": seed}
            reply = client.post(
                "/api/generate",
                {
                    "model": record.model,
                    "prompt": text,
                    "raw": True,
                    "stream": False,
                    "logprobs": True,
                    "top_logprobs": record.top,
                    "options": options | {"top_k": 100, "top_p": 1.0},
                },
            )
            decoded = _decode(reply, _OllamaReply, client.url)
            odds = decoded.logprobs[0].odds(client.url) if decoded.logprobs else Odds()
            return odds, decoded.done_reason == "stop"

        return _TextPrefix(ask, prompt, client.url)


def _number(info: Mapping[str, Any], key: str) -> int:
    """The value of the first key that ends so, if it is a number."""
    value = next((value for name, value in info.items() if name.endswith(key)), 0)
    return value if isinstance(value, int) and 0 <= value < 1 << 62 else 0


class _TokenLogprobs(msgspec.Struct):
    """The odds of completions: OpenAI's shape, and the shape of chats."""

    tokens: list[str] = []
    top_logprobs: list[dict[str, float] | None] | None = None
    content: list[_Step] | None = None


class _Choice(msgspec.Struct):
    logprobs: _TokenLogprobs | None = None
    finish_reason: str | None = None


class _Choices(msgspec.Struct):
    choices: list[_Choice]


class OpenAi:
    """vLLM and others with OpenAI's /v1/completions: text in, token texts and odds out."""

    title = "OpenAI-compatible"

    def find(self, client: Client, model: str) -> ServerRecord | None:
        try:
            listed = msgspec.json.decode(client.find("/v1/models"), type=_ModelList).data
        except _NO_REPLY:
            return None
        name = choose_model([one.id for one in listed], model, client.url)
        info = next((one for one in listed if one.id == name), _ListedModel(name))
        meta = info.meta or _ModelMeta()
        return ServerRecord(
            model=name,
            context=info.max_model_len or 0,
            vocabulary=meta.n_vocab,
            parameters=meta.n_params,
        )

    def open(self, client: Client, record: ServerRecord, prompt: Parts) -> Prefix:
        def ask(text: str, temperature: float, seed: int) -> tuple[Odds, bool]:
            reply = client.post(
                "/v1/completions",
                {
                    "model": record.model,
                    "prompt": text,
                    "max_tokens": 1,
                    "logprobs": record.top,
                    "temperature": temperature,
                    "seed": seed,
                },
            )
            choices = _decode(reply, _Choices, client.url).choices
            odds = choices[0].logprobs if choices else None
            ends = bool(choices) and choices[0].finish_reason == "stop"
            if odds is not None and odds.content:
                return odds.content[0].odds(client.url), ends
            if odds is not None and odds.top_logprobs and odds.top_logprobs[0]:
                listed = odds.top_logprobs[0].items()
                pairs = [
                    (token_from_text(text.encode("utf-8", "replace")), p) for text, p in listed
                ]
                return rank(pairs, client.url), ends
            return Odds(), ends

        return _TextPrefix(ask, prompt, client.url)


DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {"llama-server": LlamaServer(), "ollama": Ollama(), "openai": OpenAi()}
)
"""In the order in which an address is tried."""

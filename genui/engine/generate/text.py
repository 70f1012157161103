"""Writing text a token at a time: KV cache, temperature, top-k, top-p."""

from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import torch
from torch import Tensor

from genui.engine.data.tokenizer import Tokenizer
from genui.engine.device import Machine, autocast
from genui.engine.models.transformer import KVCache, Transformer
from genui.errors import MisuseError
from genui.protocol import Candidate, Start, Started, TextFrame, TextSettings
from genui.render.sanitise import clean

CANDIDATES = 12
"""How many of the likeliest tokens a frame carries."""


def filter_distribution(logits: np.ndarray, settings: TextSettings) -> np.ndarray:
    """Probabilities float64 [V] after temperature, then top-k, then top-p.

    Temperature 0 is greedy. top-p keeps the smallest set of tokens whose probability
    reaches p (Holtzman et al. 2020); top-k the k likeliest (Fan et al. 2018).
    """
    if settings.temperature == 0:
        probability = np.zeros(len(logits))
        probability[int(logits.argmax())] = 1.0
        return probability
    probability = softmax(logits / settings.temperature)
    order = np.argsort(-probability, kind="stable")
    keep = len(order)
    if settings.top_k:
        keep = min(keep, settings.top_k)
    if settings.top_p < 1:
        kept = probability[order[:keep]]
        cumulative = np.cumsum(kept / kept.sum())
        keep = min(keep, int(np.searchsorted(cumulative, settings.top_p)) + 1)
    probability[order[keep:]] = 0.0
    return probability / probability.sum()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 [V] of logits [V]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max())
    return shifted / shifted.sum()


def uniform(seed: int, step: int) -> float:
    """The one random number of a step, in [0, 1): drawn from (seed, step), never from a stream."""
    return float(np.random.default_rng((seed, step)).random())


def pick(probability: np.ndarray, u: float) -> int:
    """Inverse transform sampling: the first token whose cumulative probability exceeds u."""
    cumulative = np.cumsum(probability)
    token = int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))
    return min(token, int(np.flatnonzero(probability)[-1]))


@dataclass(frozen=True)
class TextState:
    """A text so far. `logits` [V] is the model's answer after the last of `tokens`."""

    tokens: tuple[int, ...]
    prompt: int  # how many of the tokens were given
    logits: np.ndarray = field(repr=False)
    step: int
    seed: int
    settings: TextSettings
    ended: bool
    pending: bytes  # of a character that is not whole yet


class TextGenerator:
    """One Transformer writing one text; `step` is one token."""

    family = "transformer"

    def __init__(self, model: Transformer, tokenizer: Tokenizer, machine: Machine) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.machine = machine
        self._device = next(model.parameters()).device
        self._cache: KVCache | None = None
        self._cached: tuple[int, ...] = ()
        self._texts = [clean(tokenizer.decode([t])) for t in range(tokenizer.size)]

    def begin(self, request: Start) -> tuple[TextState, Started]:
        """The first state and what a person should know of it.

        Raises MisuseError where nothing of the prompt is known to the tokenizer.
        """
        unknown = self.tokenizer.unknown(request.prompt)
        known = "".join(c for c in request.prompt if c not in unknown)
        notes = []
        if unknown:
            shown = clean(unknown[:12])
            notes.append(f"this model has no {shown!r}: left out of the prompt")
        if request.prompt and not known:
            raise MisuseError(
                f"prompt {clean(request.prompt[:24])!r}: the model knows none of its characters"
            )
        state = self.start(msgspec.structs.replace(request, prompt=known))
        limit = self.model.config.context
        if len(self.tokenizer.encode(known)) > limit:
            notes.append(f"the model reads the last {limit // 2} tokens of this prompt")
        started = Started(
            trace=request.trace,
            model=request.model,
            family=self.family,
            medium="text",
            prompt=known.removesuffix(" ") if self.tokenizer.end is not None else known,
            total_steps=state.settings.tokens,
            note="; ".join(notes),
        )
        return state, started

    def start(self, request: Start) -> TextState:
        """Read the prompt."""
        settings = request.settings
        if not isinstance(settings, TextSettings):
            raise MisuseError("a text model needs text settings")
        tokens = self._prompt_tokens(request.prompt)
        prompt = len(tokens)
        logits = self._read(tokens, prompt)
        return TextState(tokens, prompt, logits, 0, request.seed, settings, False, b"")

    def _prompt_tokens(self, prompt: str) -> tuple[int, ...]:
        """What the model reads first; never empty.

        With BPE a last space is left for the model to write: it belongs to the next word's
        token, and a space of its own was hardly ever seen in training.
        """
        end = self.tokenizer.end
        if end is not None:
            return tuple(self.tokenizer.encode(prompt.removesuffix(" "))) or (end,)
        newline = self.tokenizer.encode("\n")
        return tuple(self.tokenizer.encode(prompt)) or tuple(newline[:1]) or (0,)

    def first_frame(self, state: TextState) -> None:
        """Nothing: the prompt is not generated."""

    def finished(self, state: TextState) -> bool:
        return state.ended or state.step >= state.settings.tokens

    def step(self, state: TextState) -> tuple[TextState, TextFrame]:
        """Choose the next token and read it."""
        step = state.step + 1
        model = softmax(state.logits)
        sampled = filter_distribution(state.logits, state.settings)
        token = pick(sampled, uniform(state.seed, step))
        text, pending = self._spell(token, state.pending)
        frame = TextFrame(
            trace=0,
            step=step,
            token=token,
            text=text,
            surprisal=float(-np.log2(max(model[token], 1e-30))),
            entropy=float(-(model * np.log2(np.maximum(model, 1e-30))).sum()),
            candidates=self._candidates(model, sampled, token),
        )
        ended = token == self.tokenizer.end
        tokens = (*state.tokens, token)
        logits = state.logits if ended else self._read(tokens, state.prompt)
        state = replace(
            state, tokens=tokens, logits=logits, step=step, ended=ended, pending=pending
        )
        return state, frame

    def write(self, prompt: str, seed: int, settings: TextSettings, until: str = "") -> str:
        """What the model writes after a prompt, ended by `until` where that is given."""
        start = Start(trace=0, model="", prompt=prompt, seed=seed, settings=settings)
        state, text = self.start(start), ""
        while not self.finished(state) and not (until and until in text):
            state, frame = self.step(state)
            text += frame.text
        return text

    def _candidates(
        self, model: np.ndarray, sampled: np.ndarray, token: int
    ) -> tuple[Candidate, ...]:
        """The likeliest tokens, and the chosen one wherever it stood."""
        top = np.argsort(-model, kind="stable")[:CANDIDATES].tolist()
        if token not in top:
            top[-1] = token
        return tuple(Candidate(t, self._texts[t], float(model[t]), float(sampled[t])) for t in top)

    def _spell(self, token: int, pending: bytes) -> tuple[str, bytes]:
        """The text a token adds; bytes of a character not yet whole wait for the next token."""
        raw = pending + self.tokenizer.token_bytes(token)
        for kept in range(min(4, len(raw) + 1)):
            try:
                whole = raw[: len(raw) - kept].decode("utf-8")
                return clean(whole), raw[len(raw) - kept :]
            except UnicodeDecodeError:
                continue
        return clean(raw.decode("utf-8", errors="replace")), b""

    def _read(self, tokens: tuple[int, ...], prompt: int) -> np.ndarray:
        """Logits float32 [V] after `tokens`, the first `prompt` of which were the prompt.

        The network sees at most its context; past that it goes on from the newest half.
        The same bits need the same computations: the prompt (or the half) at once, then a
        token at a time. So where the cache cannot go on, it is built again in that order.
        """
        first = self._window_start(len(tokens))
        window = tokens[first:]
        known = len(window) - 1
        if self._cache is not None and known and window[:known] == self._cached[:known]:
            self._cache.length = known
            return self._run(window[-1:], window)
        at_once = self.model.config.context // 2 + 1
        if first == self._window_start(prompt):
            at_once = prompt - first
        self._cache = KVCache(self.model.config, 1, self._device)
        logits = self._run(window[:at_once], window[:at_once])
        for end in range(at_once + 1, len(window) + 1):
            logits = self._run(window[end - 1 : end], window[:end])
        return logits

    def _window_start(self, length: int) -> int:
        """The first token the network sees of `length`; it moves by half a context at a time."""
        context = self.model.config.context
        half = context // 2
        return max(0, -(-(length - context) // half) * half)

    @torch.inference_mode()
    def _run(self, new: tuple[int, ...], window: tuple[int, ...]) -> np.ndarray:
        row = torch.tensor([new], device=self._device)
        with autocast(self.machine):
            logits: Tensor = self.model(row, self._cache)
        self._cached = window
        return logits[0, -1].float().cpu().numpy()

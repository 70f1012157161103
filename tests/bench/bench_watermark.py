"""How often a watermark of text is found, what it costs in bits, and how often it is found in vain.

    python -m tests.bench watermark [--samples 60] [--model shakespeare] [--only found,alarms,speed]

`found`: texts that the model writes, with each scheme at temperatures 1 and 0.8, top-p off, and 50
keys in turn. p < 1e-4 counts as found, at several lengths. Bits are what a token costs more under
the model itself at temperature 1, in the first texts (--priced): the mean of Σ (q - p) · -log2 m
over steps with q and p the odds with and without the watermark and m the model's. Below it, what
edits leave: a share of the tokens is replaced by others at random.

`alarms`: real passages of the plays, 300 characters each, with every one of 50 keys.

`speed`: counting 100 KB of the plays, as `genui verify` does, without the model.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from harness import home, machine, report_machine

from genui.base.watermarks import FOUND, keys_file, read_keys
from genui.engine.data.text import TEXT_DATASETS
from genui.engine.data.tokenizer import Tokenizer
from genui.engine.load import find_and_load
from genui.engine.sample.logits import distribution, draw_token, softmax
from genui.engine.sample.text import TextGenerator, TextState
from genui.engine.sample.watermark import count_text
from genui.engine.sample.windows import Reading
from genui.protocol import Start, TextSettings

KEYS, PASSAGES, ROWS = 50, 2_000, 50
LENGTHS = (100, 200, 300, 500)
SCHEMES = ("green", "tournament")
EDITED = (0.05, 0.1, 0.3)


def make_keys() -> None:
    """50 keys in the home of this benchmark, of one seed."""
    random = np.random.default_rng(32)
    lines = [f'k{n} = "{int(key):016x}"' for n, key in enumerate(random.integers(0, 2**63, KEYS))]
    keys_file().parent.mkdir(parents=True)
    keys_file().write_text("\n".join(lines) + "\n")


def read_plays() -> str:
    text = TEXT_DATASETS["shakespeare"].load()
    assert isinstance(text, str)
    return text


def settings_for(scheme: str, temperature: float, tokens: int, number: int) -> TextSettings:
    return TextSettings(
        temperature=temperature,
        top_p=1,
        watermark=scheme,  # type: ignore[arg-type] - one of its choices
        watermark_key=f"k{number % KEYS}",
        tokens=tokens,
    )


def bits_lost(state: TextState) -> float:
    """What the next token costs more in bits, under the model at temperature 1."""
    before, settings = state.token_ids.since(0), state.settings
    marked = distribution(state.logits, settings, before).probability
    plain = distribution(state.logits, settings, None).probability
    model = np.maximum(softmax(state.logits), 1e-30)
    return float(((plain - marked) * np.log2(model)).sum())


def advance(generator: TextGenerator, state: TextState) -> TextState:
    """The state after the token that the generator takes, without the frame, which takes longer."""
    key, before = (state.seed, state.step + 1), state.token_ids.since(0)
    token = draw_token(state.logits, state.settings, before, key)[1].token
    token_ids = state.token_ids.appended(token)
    return replace(
        state,
        token_ids=token_ids,
        step=state.step + 1,
        ended=token in generator.tokenizer.ends,
        stored=generator.store_logits(partial(generator.read, Reading(token_ids, state.prompt))),
    )


def write(
    generator: TextGenerator, prompt: str, many: Sequence[TextSettings], seed: int, priced: int
) -> tuple[list[np.ndarray], list[float]]:
    """The tokens of texts that are written together, prompts left out, and the bits lost, a mean
    for each of those whose seed is below `priced`."""
    states = [
        generator.start(Start(trace=0, model="", prompt=prompt, seed=seed + at, settings=settings))
        for at, settings in enumerate(many)
    ]
    first, lost = states[0].prompt, np.zeros(len(many))
    for _ in range(many[0].tokens):
        generator.read_ahead(states)
        for at, state in enumerate(states):
            if not state.ended:
                lost[at] += bits_lost(state) if seed + at < priced else 0.0
                states[at] = advance(generator, state)
    texts = [state.token_ids.since(first) for state in states]
    bits = [float(total) / len(text) for total, text in zip(lost, texts, strict=True)]
    return texts, bits[: max(0, priced - seed)]


def share_found(texts: Sequence[np.ndarray], settings: Sequence[TextSettings]) -> float:
    keys = read_keys()
    values = [
        count_text(text, keys[one.watermark_key], one).p < FOUND
        for text, one in zip(texts, settings, strict=True)
    ]
    return float(np.mean(values))


def edit(text: np.ndarray, share: float, tokenizer: Tokenizer, seed: int) -> np.ndarray:
    """The text with a share of its tokens replaced by others at random."""
    random = np.random.default_rng(seed)
    places = random.random(len(text)) < share
    return np.where(places, random.integers(0, tokenizer.size, len(text)), text)


def measure_found(
    generator: TextGenerator,
    samples: int,
    prompt: str,
    temperatures: Sequence[float],
    longest: int,
    schemes: Sequence[str],
    priced: int,
) -> None:
    for scheme in schemes:
        for temperature in temperatures:
            begin, texts, used, lost = time.process_time(), [], [], []
            for first in range(0, samples, ROWS):
                rows = range(first, min(first + ROWS, samples))
                many = [settings_for(scheme, temperature, longest, row) for row in rows]
                written, more = write(generator, prompt, many, first, priced)
                texts, used, lost = texts + written, used + many, lost + more
            spread = np.std(lost) / len(lost) ** 0.5
            by_length = " · ".join(
                f"{length}: {share_found([text[:length] for text in texts], used):.1%}"
                for length in LENGTHS if length <= longest
            )  # fmt: skip
            print(
                f"{scheme} T {temperature:g}, n {samples}, found at tokens {by_length} · "
                f"bits lost {np.mean(lost):+.3f} ± {spread:.3f} a token of {len(lost)} · "
                f"{np.mean([len(text) == longest for text in texts]):.0%} wrote all {longest} · "
                f"{time.process_time() - begin:.0f} s of processor",
                flush=True,
            )
            for share in EDITED:
                edited = [edit(t, share, generator.tokenizer, at) for at, t in enumerate(texts)]
                found = " · ".join(
                    f"{length}: {share_found([text[:length] for text in edited], used):.1%}"
                    for length in LENGTHS if length <= longest
                )  # fmt: skip
                print(f"    {share:.0%} of the tokens replaced: {found}", flush=True)


def measure_alarms(tokenizer: Tokenizer, length: int = 300) -> None:
    tokens, keys = tokenizer.encode_array(read_plays()).astype(np.int32), read_keys()
    starts = np.random.default_rng(1).integers(0, len(tokens) - length, PASSAGES)
    for scheme in SCHEMES:
        one = settings_for(scheme, 1, length, 0)
        values = np.array([
            [count_text(tokens[at : at + length], key, one).p for at in starts]
            for key in keys.values()
        ])  # fmt: skip
        by_key = (values < 0.01).mean(axis=1)
        print(
            f"{scheme}: {(values < FOUND).sum()} of {values.size:,} real passages of {length} "
            f"tokens below {FOUND:g}; below 0.01 {(values < 0.01).mean():.4f}, by key "
            f"{by_key.min():.4f} to {by_key.max():.4f}",
            flush=True,
        )


def measure_speed(tokenizer: Tokenizer) -> None:
    text, key = read_plays()[:100_000], next(iter(read_keys().values()))
    for scheme in SCHEMES:
        one = settings_for(scheme, 1, 1, 0)
        took = []
        for _ in range(7):
            begin = time.perf_counter()
            count_text(tokenizer.encode_array(text).astype(np.int32), key, one)
            took.append(time.perf_counter() - begin)
        print(f"{scheme}: 100,000 characters in {np.median(took):.3f} s, worst {max(took):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="watermarks of text")
    parser.add_argument("--samples", type=int, default=60, metavar="N", help="of each row (60)")
    parser.add_argument("--model", default="shakespeare")
    parser.add_argument("--prompt", default="ROMEO:")
    parser.add_argument("--temperatures", default="1,0.8")
    parser.add_argument("--priced", type=int, default=50, metavar="N", help="texts (50)")
    parser.add_argument("--longest", type=int, default=300, metavar="TOKENS")
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    parser.add_argument("--only", default="speed,alarms,found")
    args = parser.parse_args()
    with home():
        make_keys()
        report_machine(machine())
        generator = find_and_load(args.model)
        assert isinstance(generator, TextGenerator)
        if "speed" in args.only:
            measure_speed(generator.tokenizer)
        if "alarms" in args.only:
            measure_alarms(generator.tokenizer)
        if "found" in args.only:
            temperatures = [float(text) for text in args.temperatures.split(",")]
            schemes = args.schemes.split(",")
            measure_found(
                generator, args.samples, args.prompt, temperatures, args.longest, schemes,
                args.priced,
            )  # fmt: skip


if __name__ == "__main__":
    main()

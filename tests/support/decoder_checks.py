"""What holds for the NumPy decoder of any network of tokens."""

from typing import Any

import numpy as np
import torch

from genui.engine.models.fast_decoding import Decoder, build_decoder

PROMPT, LENGTH = 5, 30  # tokens


def _draw_token_ids(vocab_size: int) -> torch.Tensor:
    return torch.randint(vocab_size, (1, LENGTH), generator=torch.Generator().manual_seed(1))


def _decoder_of(model: Any) -> Decoder:
    decoder = build_decoder(model)
    assert decoder is not None
    return decoder


@torch.inference_mode()
def check_logits(model: Any, vocab_size: int) -> None:
    """The decoder's logits are those of the network, which can go on from its state."""
    ids = _draw_token_ids(vocab_size)
    expected = model(ids)[0, PROMPT:].clone()
    decoder, state = _decoder_of(model), model.new_state(1)
    model.prefill(ids[:, :PROMPT], state)
    logits = [decoder(int(token), state) for token in ids[0, PROMPT:]]
    assert state.length == LENGTH
    assert all(row.dtype == np.float32 for row in logits)
    np.testing.assert_allclose(np.stack(logits), expected, atol=2e-5, rtol=0)
    # The network computes the same with its weights laid out anew, and goes on from that state.
    torch.testing.assert_close(model(ids)[0, PROMPT:], expected, atol=2e-5, rtol=0)
    after = model.decode(ids[:, 0], state)
    whole = model(torch.cat((ids, ids[:, :1]), 1))[:, -1]
    torch.testing.assert_close(after, whole, atol=2e-5, rtol=0)


@torch.inference_mode()
def check_forks(model: Any, vocab_size: int) -> None:
    """Going back and forking give the same bits."""
    ids, decoder, state = (
        _draw_token_ids(vocab_size)[0].tolist(),
        _decoder_of(model),
        model.new_state(1),
    )
    model.prefill(_draw_token_ids(vocab_size)[:, :PROMPT], state)
    read = {at: decoder(ids[at], state) for at in range(PROMPT, LENGTH)}
    fork = state.snapshot(12)
    state.seek(20)
    for token in (3, 5, 8):  # another text, which the fork must not see
        decoder(token, state)
    for branch, back in ((fork, 12), (state, 14)):
        start = branch.seek(back)
        for at in range(start, LENGTH):
            np.testing.assert_array_equal(decoder(ids[at], branch), read[at])
    np.testing.assert_array_equal(decoder(1, state), decoder(1, fork))


@torch.inference_mode()
def check_rows(model: Any, vocab_size: int) -> None:
    """Rows of any lengths, read together, have the bits of each alone."""
    ids, decoder = _draw_token_ids(vocab_size)[0].tolist(), _decoder_of(model)
    alone, rows = [], []
    for length in (3, 12, 3, 7):
        for states in (alone, rows):
            states.append(model.new_state(1))
            model.prefill(_draw_token_ids(vocab_size)[:, :length], states[-1])
    for at in range(LENGTH - 12):
        tokens = [ids[(at + 5 * row) % LENGTH] for row in range(len(rows))]
        together = decoder.read_rows(tokens, rows)
        for token, state, logits in zip(tokens, alone, together, strict=True):
            np.testing.assert_array_equal(decoder(token, state), logits)
    assert [state.length for state in rows] == [state.length for state in alone]

import torch

from genui.engine.generate.text import TextGenerator
from genui.engine.models.transformer import KVCache


@torch.inference_mode()
def test_a_token_never_sees_later_ones(text_generator: TextGenerator) -> None:
    model = text_generator.model
    tokens = torch.arange(16)[None] % 28
    changed = tokens.clone()
    changed[0, 10] = 3
    difference = (model(tokens) - model(changed)).abs().amax(dim=-1)[0]
    assert float(difference[:10].max()) == 0
    assert float(difference[10:].min()) > 0


@torch.inference_mode()
def test_the_cache_changes_nothing(text_generator: TextGenerator) -> None:
    model = text_generator.model
    tokens = torch.arange(20)[None] % 28
    whole = model(tokens)
    cache = KVCache(model.config, 1, torch.device("cpu"))
    parts = [model(tokens[:, :5], cache)]
    parts += [model(tokens[:, i : i + 1], cache) for i in range(5, 20)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-4, rtol=1e-4)


def test_a_new_model_finds_every_token_equally_likely(text_generator: TextGenerator) -> None:
    from genui.engine.models.transformer import Transformer

    model = Transformer(text_generator.model.config)
    tokens = torch.zeros(1, 8, dtype=torch.long)
    expected = torch.tensor(float(model.config.vocab_size)).log()
    torch.testing.assert_close(model.loss(tokens, tokens), expected)

"""Tokenizers as folders of transformers have them."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXT = "The quick brown fox jumps over the lazy dog. 12 zebras, naïve 東京 ☕ <|end|> "


def byte_level_tokenizer() -> Tokenizer:
    """Of 300 tokens of bytes, with `<|begin|>` before each text and the special `<|end|>`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|begin|>", "<|end|>"], initial_alphabet=alphabet,
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([TEXT.replace("<|end|>", "")], trainer)
    single, special = "<|begin|> $A", [("<|begin|>", 0)]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=special)
    return tokenizer

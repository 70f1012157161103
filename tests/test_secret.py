"""Which names are secrets, and what is written of them."""

import pytest

from genui.base.secret import is_secret_setting, mask_command, mask_settings


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "WANDB_API_KEY", "token", "hf_token", "hub-token", "password",
        "db.password", "client_secret", "aws_secret_access_key", "aws_access_key_id",
        "credentials", "GITHUB_PAT", "webhook_url",
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_names(name: str) -> None:
    assert is_secret_setting(name)


@pytest.mark.parametrize(
    "name",
    ["eos_token", "pad_token", "tokenizer", "max_tokens", "key", "sort_key", "num_keys", "author",
     "path", "patience", "tokens_per_batch", "compass", "monkey", "pass"],
)  # fmt: skip
def test_settings_of_models_are_not(name: str) -> None:
    assert not is_secret_setting(name)


def test_settings_are_masked_at_any_depth() -> None:
    data = {"lr": 1e-3, "token": 7, "hub": [{"hf_token": "hf_abc"}], "api_key": "", "x": "api_key"}
    assert mask_settings(data) == {**data, "hub": [{"hf_token": "***"}]}
    assert mask_settings({"token": "<|end|>"}) == {"token": "<|end|>"}
    assert mask_settings({"token": "$HF_TOKEN"}) == {"token": "$HF_TOKEN"}


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (["a.py", "--token", "hf_1", "--lr", "1"], ["a.py", "--token", "***", "--lr", "1"]),
        (["train.py", "--api-key=k", "--token"], ["train.py", "--api-key=***", "--token"]),
        (["train.py", "--token", "--lr=1"], ["train.py", "--token", "--lr=1"]),
        (["env", "HF_TOKEN=hf_1", "train.py"], ["env", "HF_TOKEN=***", "train.py"]),
        (["x", "postgres://me:pw@host/db"], ["x", "postgres://***@host/db"]),
        (["sh", "-c", "train --token hf_1 --lr 1; A_SECRET='s' x"],
         ["sh", "-c", "train --token *** --lr 1; A_SECRET='s' x"]),
        (["a.py", "--tokenizer", "gpt2", "key=val"], ["a.py", "--tokenizer", "gpt2", "key=val"]),
    ],
)  # fmt: skip
def test_a_command_is_written_without_the_values_of_secret_options(
    command: list[str], written: list[str]
) -> None:
    assert mask_command(command) == written

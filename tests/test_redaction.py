"""What of configs, commands and texts is told."""

import pytest

from ffcv_hydra.redaction import redacted, redacted_command, redacted_text, redacted_words


@pytest.mark.parametrize(
    "key",
    ["password", "db_passwd", "passphrase", "tokens", "api_key", "apiKey", "api-key", "access_key", "private_key",
     "Authorization", "auth", "aws_secret", "AccountKey", "credentials"],
)  # fmt: skip
def test_all_that_a_secret_key_has_is_hidden_whatever_it_is(key):
    for value in ("K1", 12345, ["K1"], {"user": "K1"}):
        assert redacted({"logger": [{key: value}]}) == {"logger": [{key: "(hidden)"}]}
    assert redacted_words([f"+logger.{key}=K1 K2", f"+logger={{{key}: K1, project: x}}"]) == [
        f"+logger.{key}=(hidden)",
        "+logger=(hidden)",
    ]
    for text in (f"bad {key}=K1, really", f"bad {{'{key}': 'K1 K1'}}", f"bad {{{key}: [K1, K1]}}", f"{key}: Bearer K1"):
        assert "K1" not in redacted_text(text) and "(hidden)" in redacted_text(text)


@pytest.mark.parametrize("key", ["author", "authors", "tokenizer", "num_tokens", "max_tokens", "key", "monkey", "path"])
def test_what_is_no_secret_is_told(key):
    assert redacted({key: "x"}) == {key: "x"}
    assert redacted_words([f"{key}=x"]) == [f"{key}=x"]
    assert redacted_text(f"{key}=x, {key}: x") == f"{key}=x, {key}: x"


def test_that_there_is_no_secret_is_told():
    assert redacted({"api_key": None, "use_token": True}) == {"api_key": None, "use_token": True}


def test_a_metric_of_such_a_name_is_told():
    line = "epoch 3: val_token_loss=0.25, val_token_accuracy: 9.1e-05"
    assert redacted_text(line) == line


def test_urls_are_told_without_user_and_query():
    config = {"https://ana:pw@h/a.beton": ["https://ana:p w@h/x", "s3://b/c?sig=S", "to https://ana:pw@h/x go"], "n": 3}
    assert redacted(config) == {
        "https://***@h/a.beton": ["https://***@h/x", "s3://b/c?...", "to https://***@h/x go"],
        "n": 3,
    }
    assert redacted_text("failed at https://ana:pw@h/x: gone") == "failed at https://***@h/x: gone"


@pytest.mark.parametrize("piece", ["e", "a.", "token", "token=", "a://", "a:///?@", "?"])
def test_long_texts_take_no_time_squared(piece):
    assert redacted_text(200_000 * piece)


def test_a_command_can_be_copied_and_has_no_secrets():
    command = "K=1 run.py seed=1 'w.api_key=abc def' '+w={token: abc}' u=https://a:b@h/x?abc --password abc 'a=b c'"
    told = redacted_command(command)
    assert "abc" not in told and "'a=b c'" in told and told.startswith("K=1 run.py seed=1 ")
    assert "a:b@" not in told and told.count("(hidden)") == 3
    assert redacted_command("it's api_key=abc") == "it's api_key=(hidden)"

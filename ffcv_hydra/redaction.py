"""What may be told of configs, commands and errors: all but what is secret, by the form of a URL or by its key."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ffcv_hydra.urls import shown

HIDDEN = "(hidden)"

# not `tokenizer`, `num_tokens` or `author`
_SECRET = (
    r"passw(?:or)?d|passphrase|pwd|secret|credential|(?<!num_)(?<!max_)token(?!i)|auth(?!or(?!i))"
    r"|(?:api|access|account|private|auth)[-_. ]?key"
)
_KEY = re.compile(_SECRET, re.IGNORECASE)
_URL = re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_LONGEST_URL = 10_000
"""Characters; what is longer is none, and looking through it takes its length squared."""

_WHOLE_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_OVERRIDE = re.compile(r"[^\s={}\[\]'\"]+=")
_DECIMAL = r"[-+]?\d+\.\d+(?:e[-+]?\d+)?(?![\w.])"  # a metric's, of a name such as val_token_loss
_ASSIGNED = re.compile(
    rf"(?P<key>(?:{_SECRET})[\w./-]{{0,100}}['\"]?[ \t]*[=:](?![=:/])[ \t]*)(?!{_DECIMAL})"
    r"(?:\"[^\"]*\"|'[^']*'|\[[^]]*\]|\{[^}]*\}|(?:(?:Bearer|Basic|Digest|Token)[ \t]+)?[^\s,;&\])}]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer)[ \t]+[^\s'\"]+")


def redacted(value: Any) -> Any:
    """A config, or a part of it, in which all that has a secret's key is hidden, and texts are `redacted_text`."""
    if isinstance(value, Mapping):
        return {
            redacted(key): HIDDEN if _KEY.search(str(key)) and not _says_nothing(one) else redacted(one)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(one) for one in value]
    if not isinstance(value, str):
        return value
    return redacted_text(shown(value) if _WHOLE_URL.match(value) else value)


def _says_nothing(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def redacted_text(text: str) -> str:
    """Prose, such as an error or a log's line: URLs as `shown`, the values of secret keys (`a=b`, `a: b`) hidden."""
    text = _URL.sub(lambda found: shown(found.group()) if len(found.group()) <= _LONGEST_URL else HIDDEN, text)
    return _BEARER.sub(rf"\1 {HIDDEN}", _ASSIGNED.sub(rf"\g<key>{HIDDEN}", text))


def redacted_words(words: Sequence[str]) -> list[str]:
    """Words of a command: of an override (`key=value`) in which something is secret by its key, the value is hidden."""
    told = []
    is_value = False  # of the option before it, `--password VALUE`
    for word in words:
        told.append(HIDDEN if is_value else _redacted_word(word))
        is_value = word.startswith("-") and "=" not in word and _KEY.search(word) is not None
    return told


def _redacted_word(word: str) -> str:
    if (key := _OVERRIDE.match(word)) is None:
        return redacted_text(word)
    value = redacted(word[key.end() :])
    return key.group() + (HIDDEN if _KEY.search(key.group()) or HIDDEN in value else value)


def redacted_command(line: str) -> str:
    """A command as a shell takes it."""
    try:
        return shlex.join(redacted_words(shlex.split(line)))
    except ValueError:  # it is none
        return redacted_text(line)

"""Text of others that is shown to a person, without what a terminal would obey.

Names, overrides and error texts come from files that may be a stranger's; an escape sequence in one could hide or forge
lines. Knows text, not where it is shown.
"""

import unicodedata


def printable(text: str) -> str:
    """`text` with control characters, and those that reorder or hide others, as escapes; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\t\u200d"
        else character
        for character in text
    )

"""Text from outside, made unable to move a cursor, to change a colour or to pass for a line of ours."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Text that cannot move the cursor: all that is not printable becomes a space."""
    return "".join(character if character.isprintable() else " " for character in text)


def inert(text: str) -> str:
    """The same for text of several lines, which stay lines."""
    return "\n".join(map(one_line, text.split("\n")))

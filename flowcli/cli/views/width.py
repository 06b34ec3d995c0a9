"""Texts in the columns of a screen, in which some letters take two."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells, set_cell_size

WIDTH = 80


def shortened(text: str, room: int) -> str:
    """Return the beginning of a text, with an ellipsis where it would take more columns than there is room for."""
    return text if cell_len(text) <= room else set_cell_size(text, max(room - 1, 0)).rstrip() + "…" * (room > 0)


def shortened_before(text: str, room: int) -> str:
    """Return the end of a text that is too long."""
    if cell_len(text) <= room:
        return text
    while text and cell_len(text) > room - 1:
        text = text[1:]
    return "…" * (room > 0) + text


def padded(text: str, alignment: str, room: int) -> str:
    """Return a text with spaces behind it, for the side ``<``, or before it, for ``>``."""
    spaces = " " * (room - cell_len(text))
    return text + spaces if alignment == "<" else spaces + text


def wrapped(text: str, room: int) -> list[str]:
    """Return a text in lines of so many columns. A longer word of ASCII stays whole: it is a name, to be copied."""
    lines = [""]
    for word in text.split():
        for part in [word] if word.isascii() else chop_cells(word, room):
            longer = f"{lines[-1]} {part}" if lines[-1] else part
            if lines[-1] and cell_len(longer) > room:
                lines.append(part)
            else:
                lines[-1] = longer
    return lines

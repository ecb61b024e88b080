"""``--compare``: several searches side by side, as one page and as a table in the terminal."""

from tune.compare.command import compare

__all__ = ["compare"]

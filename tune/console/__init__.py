"""What a terminal or a log file shows of a search."""


def labelled(label: str, text: object) -> str:
    """Return a line that says what it is about in its first column."""
    return f"{label:<11}{text}"

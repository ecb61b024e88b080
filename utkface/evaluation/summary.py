"""``evaluation.json`` as text, small enough to keep with the code and to compare line by line."""

import json
from collections.abc import Mapping
from typing import Any

_DIGITS = 5  # significant: more than any interval here can tell apart
#: Settings are kept to the last digit, as training is repeated from them.
_EXACT = {"config", "data", "versions"}


def evaluation_text(evaluation: Mapping[str, Any]) -> str:
    """Return an evaluation as JSON, numbers to five digits, each row on a line of its own.

    Raises `ValueError` for NaN and infinity, which JSON does not know.
    """
    fields = [f"{json.dumps(name)}: {_field(name, value)}" for name, value in evaluation.items()]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _field(name: str, value: Any) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(_dump(rounded(item)) for item in value) + "\n]"
    return _dump(value if name in _EXACT else rounded(value))


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def rounded(value: Any) -> Any:
    """Return a value with every number with decimals in it rounded, but for settings."""
    if isinstance(value, Mapping):
        return {k: v if k in _EXACT else rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value

"""Judging a trained model on held-out faces: metrics with intervals, subgroups, quality, account.

The modules here may need scikit-learn and its companions; the core of `utkface` never imports them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from utkface.evaluation.quality import measure_quality
    from utkface.evaluation.row import evaluate_row, paired_difference

__all__ = ["evaluate_row", "measure_quality", "paired_difference"]

_MODULE_OF = {"evaluate_row": "row", "measure_quality": "quality", "paired_difference": "row"}


def __getattr__(name: str) -> Any:
    """Import an exported name at its first use: scikit-learn alone takes seconds to load."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)

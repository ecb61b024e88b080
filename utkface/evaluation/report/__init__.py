"""What an evaluation leaves for people to read: one page, figures, and a model card."""

from utkface.evaluation.report.card import write_model_card
from utkface.evaluation.report.page import write_evaluation_report

__all__ = ["write_evaluation_report", "write_model_card"]

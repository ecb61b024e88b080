"""What a search leaves for people to read: one self-contained HTML page and a table of trials."""

from tune.report.page import write_report
from tune.report.tables import trials_table

__all__ = ["trials_table", "write_report"]

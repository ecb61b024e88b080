"""What a terminal or a log file shows of a search."""

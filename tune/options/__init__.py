"""The options of both commands, each declared once: type, default, range and help."""

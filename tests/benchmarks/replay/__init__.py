"""Searches replayed over learning curves: nothing is trained, a simulated clock runs."""

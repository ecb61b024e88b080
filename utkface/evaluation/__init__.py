"""Judging a trained model on held-out faces: metrics with intervals, subgroups, quality, causes.

The modules here may need scikit-learn and its companions; the core of `utkface` never imports them.
"""

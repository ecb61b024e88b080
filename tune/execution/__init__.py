"""Trials at work: where the study, Ray Tune and the training meet."""

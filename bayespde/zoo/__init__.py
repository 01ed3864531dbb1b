"""DECLARATION -> DISCOVERY: the shipped models, each a video, a library, settings and a reference.

A `Declaration` is read from `models/NAME/model.toml`; `Declaration.run` gives a `Discovery`. A `Reference` holds the
true coefficients and a `ReferencePosterior`, with which `compare_with_truth` and `compare_with_posterior` compare it.
"""

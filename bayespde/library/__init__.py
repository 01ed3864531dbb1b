"""NAMES + POWERS -> LIBRARY: the candidate terms of an equation.

`candidates` builds a `core.equation.Library` from highest powers and orders of differentiation and checks it against a
field; `declared` builds one from a table of settings.
"""

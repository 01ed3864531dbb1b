"""Axes + a few numbers -> a first frame: nuclei, pulses, waves, fronts and spirals.

`initial_state` builds one by name, as a declaration asks for it; every kind is a function of the axes in `waves` or
`patterns`, and one entry of `KINDS`.
"""

from bayespde.solve.initial.axes import Axes
from bayespde.solve.initial.kinds import KINDS, initial_state
from bayespde.solve.initial.patterns import Nucleus, nuclei, planar_front, spiral
from bayespde.solve.initial.waves import gaussian_pulses, random_waves, sine_modes, solitons

__all__ = [
    "KINDS",
    "Axes",
    "Nucleus",
    "gaussian_pulses",
    "initial_state",
    "nuclei",
    "planar_front",
    "random_waves",
    "sine_modes",
    "solitons",
    "spiral",
]

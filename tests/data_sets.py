"""Benchmark files -> fields with their true equations. Tests that use them skip where the folder is missing."""

import numpy as np
import scipy.io

import bayespde as bp

TRUTH = {
    "burgers": {"u*u_x": -1.0, "u_xx": 0.1},
    "kdv": {"u*u_x": -6.0, "u_xxx": -1.0},
    "ks": {"u*u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0},
    "allen_cahn": {"u": 5.0, "u**3": -5.0, "u_xx": 1e-4},
    "chafee_infante": {"u": -1.0, "u**3": 1.0, "u_xx": 1.0},
    "phase_field": {"u": -0.9, "u**2": 1.9, "u**3": -1.0, "u_xx": 10.0},
}
PHASE_FIELD_TERMS = ("u", "u**2", "u**3", "u_x", "u_xx", "u*u_x", "u_x**2", "u**2*u_x")
_FILES = {
    "burgers": ("pdefind_burgers/burgers.mat", "usol", "t"),
    "kdv": ("pdefind_kdv/kdv.mat", "usol", "t"),
    "ks": ("pdefind_ks/kuramoto_sivishinky.mat", "uu", "tt"),
    "allen_cahn": ("epde_allen_cahn/AC.mat", "uu", "tt"),
    "phase_field": ("stem_front/phase_field_oneD_simulation_beginning_stage.mat", "usol", "t"),
    "phase_field_noisy": ("stem_front/phase_field_oneD_simulation_beginning_stage_0.02noise.mat", "usol", "t"),
    "stem_profile": ("stem_front/phase_field_oneD_last641.mat", "usol", "t"),
}
_ARRAYS = {"chafee_infante": "sga_chafee_infante/chafee_infante_{}.npy"}


def load(folder, name, *, noise=0.0, seed=0):
    """Read a benchmark field and add noise relative to its standard deviation."""
    if name in _ARRAYS:
        values, t, x = (np.load(folder / _ARRAYS[name].format(part)) for part in ("CI", "t", "x"))
        field = bp.make_field(values.T, t=t, x=x)
    else:
        file, values, time = _FILES[name]
        content = scipy.io.loadmat(folder / file)
        field = bp.make_field(np.real(content[values]).T, t=content[time].ravel(), x=content["x"].ravel())
    return bp.add_noise(field, noise, seed=seed) if noise else field

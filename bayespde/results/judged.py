"""Posterior -> what its equations were judged by, in words."""

from __future__ import annotations

from bayespde.core.posterior import Posterior


def judged_by(posterior: Posterior) -> str:
    """Rows or pixels; why not pixels, if that was asked; along which trajectory, and how it ends in space, if so."""
    refinement = posterior.provenance.get("refinement", {})
    if refinement.get("by") == "pixels":
        along = " + ".join(posterior.statistics.provenance["along"])
        return f"the pixels along a trajectory of {along}, {refinement['boundary']} in space"
    return "rows" + (f", as {refinement['because']}" if refinement.get("because") else "")

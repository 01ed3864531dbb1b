"""POSTERIOR -> CHECKS, each a number, a limit, and what not to trust beyond it.

`sampler.sampler_checks` measures convergence. `model_checks` measures the fit: how the rows were formed (`weak_form`),
the trajectory if there is one (`trajectory`), and the most probable equation (`equation`). All yield `Check`s;
`REMEDIES` maps their names to what to do where one fails.
"""

from bayespde.results.checks.check import REMEDIES, Check, format_checks
from bayespde.results.checks.model_checks import model_checks

__all__ = ["REMEDIES", "Check", "format_checks", "model_checks"]

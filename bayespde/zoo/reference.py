"""A discovery + the reference of its model -> differences in words; a discovery -> a new reference posterior.

After posteriordb [posteriordb2024]: a reference holds the true equation, which a posterior may miss by its own error,
and the posterior itself, computed exactly by enumeration. The first tests the method, the second whether the program
still gives the same result.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayespde import __version__
from bayespde.core.checksum import json_digest, unreadable
from bayespde.core.errors import ConfigError, FileError
from bayespde.core.files import check_schema, read_text, write_text
from bayespde.core.settings import check_keys
from bayespde.discovery.discovery import Discovery

# What another processor, version of a library or seed may change. Coefficients come from 8192 draws: the Monte Carlo
# error of a mean is 0.01 sd, that of an sd 1 %. A Bayes factor of less than e is not worth more than a bare mention
# [kass1995].
MEAN_TOLERANCE = 0.25
SD_TOLERANCE = 0.1
PROBABILITY_TOLERANCE = 0.05
# Along a trajectory it is the log density of all pixels, about a fit that ends within a tolerance of its own: 1.8 was
# seen where sums were added in another order, with the same probabilities.
LOG_EVIDENCE_TOLERANCE = {"weak_form": 1.0, "observation": 5.0}
KEYS = ("coefficients", "relative_tolerance", "sd_tolerance", "source", "posterior")
# Layout of a reference posterior; a change of it is a new number.
SCHEMA = 2
# Digits kept: far below the tolerances.
DIGITS = 8


@dataclass(frozen=True)
class ReferencePosterior:
    """An exact posterior from an earlier run, all equations of the library enumerated.

    Attributes:
        likelihood: "observation" or "weak_form".
        probability: Of the most probable equation.
        log_evidence: Of the library.
        inclusion_probability: Of every term of the library.
        mean: Coefficients of the most probable equation, physical units.
        sd: Their standard deviations.
        version: Of the package that found it.
    """

    likelihood: str
    probability: float
    log_evidence: float
    inclusion_probability: Mapping[str, float]
    mean: Mapping[str, float]
    sd: Mapping[str, float]
    version: str = __version__


@dataclass(frozen=True)
class Reference:
    """The known answer of a model.

    Attributes:
        coefficients: The true ones, by term; all other terms are false.
        relative_tolerance: Largest relative error of a coefficient.
        sd_tolerance: Largest error of a coefficient in posterior standard deviations.
        source: Where the truth comes from.
        posterior: The posterior from the declared data; None if it was never recorded.
    """

    coefficients: Mapping[str, float]
    relative_tolerance: float
    sd_tolerance: float
    source: str = ""
    posterior: ReferencePosterior | None = None


def read_reference(file: Path) -> Reference:
    """Read a `reference.json`.

    Raises:
        ConfigError: If it is not usable.
        FileError: If it cannot be read, or its reference posterior is not as it was recorded.
    """
    text = read_text(file)
    try:
        known = check_keys(json.loads(text), KEYS, file.name)
        return Reference(
            coefficients=_numbers(known["coefficients"]),
            relative_tolerance=_tolerance(known["relative_tolerance"]),
            sd_tolerance=_tolerance(known["sd_tolerance"]),
            source=str(known.get("source", "")),
            posterior=_posterior(known["posterior"], file) if "posterior" in known else None,
        )
    except FileError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ConfigError(
            "The reference of a model cannot be used.",
            got=f"{file}: {type(error).__name__} {error}",
            wanted="JSON with coefficients by term, relative_tolerance and sd_tolerance",
            fix="correct or remove the file",
        ) from error


def write_reference_posterior(found: Discovery, file: Path) -> None:
    """Write the posterior of a discovery into a `reference.json`; the rest of the file stays.

    Raises:
        ConfigError: If the library was too large to be enumerated.
        FileError: If the file cannot be written.
    """
    known = json.loads(read_text(file))
    recorded = {name: _rounded(value) for name, value in vars(reference_posterior(found)).items()}
    known["posterior"] = {"schema_version": SCHEMA, **recorded}
    known["posterior"]["checksum"] = json_digest(known["posterior"])
    write_text(file, json.dumps(known, indent=2) + "\n")


def reference_posterior(found: Discovery) -> ReferencePosterior:
    """The record of a discovery.

    Raises:
        ConfigError: If the library was too large to be enumerated.
    """
    posterior, best = found.posterior, found.equations(top=1)[0]
    if posterior.exact is None:
        raise ConfigError(
            "A reference posterior must be exact.",
            got=f"{len(posterior.library)} terms, which were sampled",
            wanted="a library that is enumerated",
            fix="fewer terms, or a larger enumerate_up_to (at most 26)",
        )
    return ReferencePosterior(
        likelihood=found.posterior.likelihood.kind,
        probability=best.probability,
        log_evidence=posterior.exact.log_evidence,
        inclusion_probability=posterior.inclusion_probability.to_series().to_dict(),
        mean=dict(zip(best.names, best.coefficients, strict=True)),
        sd=dict(zip(best.names, best.sd, strict=True)),
    )


def compare_with_truth(found: Discovery, reference: Reference) -> list[str]:
    """Compare a discovery with the true equation.

    Args:
        found: A discovery.
        reference: The truth and both tolerances, which are both to be kept.

    Returns:
        Complaints in words; empty if the support is found and every coefficient is right.
    """
    library, best = found.posterior.library, found.equations(top=1)[0]
    truth = {library[library.index(n)].name: v for n, v in reference.coefficients.items()}
    if set(best.names) != set(truth):
        return [f"the most probable equation has the terms {', '.join(best.names)}, the true one {', '.join(truth)}"]
    complaints = []
    for name, mean, sd in zip(best.names, best.coefficients, best.sd, strict=True):
        relative, deviation = abs(mean / truth[name] - 1), abs(mean - truth[name]) / sd
        if relative > reference.relative_tolerance or deviation > reference.sd_tolerance:
            found_value = f"{mean:.4g} +- {sd:.2g}"
            complaints.append(f"{name} has {found_value}, not {truth[name]:.4g} ({relative:.1%}, {deviation:.1f} sd)")
    return complaints


def compare_with_posterior(found: Discovery, known: ReferencePosterior) -> list[str]:
    """Compare a discovery with an earlier posterior from the same data.

    Probabilities may differ by 0.05, the log evidence by 1 (5 for the observation likelihood), posterior means by a
    quarter of their standard deviation and standard deviations by a tenth.

    Args:
        found: A discovery.
        known: The reference posterior.

    Returns:
        Complaints in words; empty if both are the same within these tolerances.

    Raises:
        ConfigError: If the library was too large to be enumerated.
    """
    now, before = reference_posterior(found), f"in the reference posterior, of version {known.version},"
    if now.likelihood != known.likelihood:
        return [
            f"equations were compared by the {now.likelihood} likelihood; {before} by the {known.likelihood} likelihood"
        ]
    if set(now.inclusion_probability) != set(known.inclusion_probability):
        return [f"the library has other terms; {before} {', '.join(known.inclusion_probability)}"]
    if set(now.mean) != set(known.mean):
        return [f"the most probable equation has the terms {', '.join(now.mean)}; {before} {', '.join(known.mean)}"]
    compared = [
        ("the probability of the best equation", now.probability, known.probability, PROBABILITY_TOLERANCE),
        ("the log evidence", now.log_evidence, known.log_evidence, LOG_EVIDENCE_TOLERANCE.get(now.likelihood, 1.0)),
    ]
    for name, value in now.inclusion_probability.items():
        expected = known.inclusion_probability[name]
        compared.append((f"the inclusion probability of {name}", value, expected, PROBABILITY_TOLERANCE))
    for name, sd in known.sd.items():
        compared.append((f"the coefficient of {name}", now.mean[name], known.mean[name], MEAN_TOLERANCE * sd))
        compared.append((f"the standard deviation of {name}", now.sd[name], sd, SD_TOLERANCE * sd))
    return [
        f"{what} is {value:.6g}; {before} {expected:.6g} +- {tolerance:.2g}"
        for what, value, expected, tolerance in compared
        if not abs(value - expected) <= tolerance
    ]


def _posterior(known: Any, file: Path) -> ReferencePosterior:
    """From its record; one of schema version 1 has neither number nor checksum."""
    check_schema(known.get("schema_version", 1), SCHEMA, file)
    if {"schema_version", "checksum"} & set(known) and known.get("checksum") != json_digest(known):
        found, again = (
            "its reference posterior is not as it was recorded",
            f"bayespde models check {file.parent} --write",
        )
        raise unreadable(file, found, fix=again)
    return ReferencePosterior(
        likelihood=str(known["likelihood"]),
        probability=float(known["probability"]),
        log_evidence=float(known["log_evidence"]),
        inclusion_probability=_numbers(known["inclusion_probability"]),
        mean=_numbers(known["mean"]),
        sd=_numbers(known["sd"]),
        version=str(known["version"]),
    )


def _numbers(known: Any) -> dict[str, float]:
    return {str(k): float(v) for k, v in known.items()}


def _tolerance(known: Any) -> float:
    if not 0 <= float(known) < math.inf:
        raise ValueError(f"a tolerance is {known}")
    return float(known)


def _rounded(value: Any) -> Any:
    """Numbers with `DIGITS` digits, and all digits before the point."""
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if abs(value) < 10**DIGITS else round(value, 2)

"""OBJECT + FACTS -> REPR: one line for types that hold large arrays."""

from __future__ import annotations

from typing import Any


def one_line(value: object, **facts: Any) -> str:
    """`Name(fact=..., ...)`; numbers with four digits, facts that are None left out."""
    parts = (f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in facts.items() if v is not None)
    return f"{type(value).__name__}({', '.join(parts)})"

"""POSTERIOR -> ANSWERS: equations, front, inference data, diagnostics, figures, each its own module."""

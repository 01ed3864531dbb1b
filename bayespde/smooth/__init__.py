"""FIELD -> DERIVATIVES: a penalised spline and a neural field, each with its posterior, and the choice between them."""

"""TERMS + FIELD -> SUFFICIENT STATISTICS: what may stand in the equation, and how rows are formed from a video."""

"""Many experiments from the prior -> whether probabilities and intervals mean what they say."""

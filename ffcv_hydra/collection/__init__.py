"""Several betons as one: to a user the same as one beton."""

"""The storage floor: the only rooms that speak SQL."""

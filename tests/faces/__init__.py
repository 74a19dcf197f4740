"""The interfaces that people know from elsewhere, held against what these promise there."""

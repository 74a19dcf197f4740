"""The long form of the proofs, by hand: python -m tests.soak."""

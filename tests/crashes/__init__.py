"""Crashes at every file call, and what a power cut leaves: the preload shim and the proofs made with it."""

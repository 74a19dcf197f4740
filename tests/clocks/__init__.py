"""Clocks that are set, machines that sleep, a boot in between: what leases and due times make of it."""

"""Messages: held against CPython's own suites, and under kills, cancellations and forks."""

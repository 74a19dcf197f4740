"""The command line, seen from outside: what it prints, and how it ends."""

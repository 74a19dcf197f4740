"""The dashboard: its answers and refusals, its server, and what a browser makes of it."""

"""The command line: `python -m litequeue COMMAND FILE …`. Only these rooms print."""

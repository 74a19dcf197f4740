"""`python -m litequeue`: the command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .cli.program import run
from .cli.terminal import system_terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 the answer is no, 2 it was not done."""
    return run(sys.argv[1:] if argv is None else list(argv), system_terminal())


if __name__ == "__main__":
    sys.exit(main())

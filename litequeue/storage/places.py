"""Where an attempt failed, found in its traceback."""

from __future__ import annotations

import re

# An exception group's own frames are set in by a bar; those of what it holds are set in further.
_FRAME = re.compile(r'^(?:  \| )?  File "([^"\n]+)", line ([0-9]+)', re.MULTILINE)
_LONGEST = 200


def place_of(traceback: str) -> str:
    r"""The file and line of the innermost frame, with no more of the path than one folder; "" without one.

    So it is the same wherever the program is installed.

    >>> place_of('Traceback (most recent call last):\n  File "/srv/shop/app.py", line 3, in fetch\nOSError')
    'shop/app.py:3'
    """
    frames = _FRAME.findall(traceback)
    if not frames:
        return ""
    path, line = frames[-1]
    parts = path.replace("\\", "/").split("/")
    return f"{'/'.join(parts[-2:])[-_LONGEST:]}:{line}"

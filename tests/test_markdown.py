"""The reader of the README sees what is there."""

import unittest

from tests.markdown import anchors, blocks, links

TEXT = """\
# Lite: a *queue*

See [below](#how-it-works) and [the source](litequeue/queue.py).

<!-- file: app.py -->
```python
# not a heading
print("[no](link)")
```

## How it works

```console
$ litequeue list --state failed \\
    jobs.db | head  # three
42 failed

43 failed
$ a && b
```
"""


class TestMarkdown(unittest.TestCase):
    def test_blocks_have_their_language_line_and_mark(self) -> None:
        python, console = blocks(TEXT)
        self.assertEqual((python.language, python.line, python.marked("file")), ("python", 6, "app.py"))
        self.assertEqual((console.language, console.line, console.marked("file")), ("console", 13, None))
        self.assertEqual(TEXT.splitlines()[python.line], python.text.splitlines()[0])

    def test_commands_are_what_is_typed_and_shown(self) -> None:
        _, console = blocks(TEXT)
        listing = "litequeue list --state failed jobs.db | head  # three"
        self.assertEqual(console.commands(), [(listing, "42 failed\n\n43 failed\n"), ("a && b", "")])

    def test_links_and_anchors_are_those_of_the_text(self) -> None:
        self.assertEqual(links(TEXT), ["#how-it-works", "litequeue/queue.py"])
        self.assertEqual(anchors(TEXT), {"lite-a-queue", "how-it-works"})

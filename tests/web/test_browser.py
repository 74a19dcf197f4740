"""The page in a real browser: what it shows, how it is used, and that nothing in it complains."""

from __future__ import annotations

import json
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from tests.web.browser import Browser
from tests.web.case import TOKEN
from tests.web.test_live import Served

HOSTILE = '</script><script>window.owned = 1</script><img src=x onerror="window.owned = 1">'
FOCUS_IS_SEEN = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
NARROW = "document.documentElement.scrollWidth <= innerWidth"


class TestPage(unittest.TestCase):
    """All in one browser, which takes seconds to start."""

    browser: ClassVar[Browser]

    @classmethod
    def setUpClass(cls) -> None:
        profile = cls.enterClassContext(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        cls.browser = Browser(Path(profile))
        cls.addClassCleanup(cls.browser.close)

    def setUp(self) -> None:
        self.browser.forget()
        self.served = Served(self)
        self.hostile = self.served.queue.enqueue(HOSTILE.replace(" ", "_")[:40] + ":x", HOSTILE)
        self.served.queue.enqueue("app:wide", args=("w" * 300,), queue="w" * 200, tags=["w" * 100])
        self.browser.go(self.served.url)
        self.browser.wait_for("document.querySelector('.pulse.live')")

    def tearDown(self) -> None:
        self.assertEqual(self.browser.complaints, [])
        self.assertIsNone(self.browser.ask("window.owned"))

    def open(self, address: str, sign: str) -> None:
        self.browser.ask(f"location.hash = {json.dumps(address)}")
        self.browser.wait_for(sign)

    def focus_by_tab(self, id: str) -> None:
        """Press Tab until the element has the focus, as somebody without a mouse does."""
        for _ in range(60):
            if self.browser.ask("document.activeElement.id") == id:
                return
            self.browser.press("Tab", 9)
        self.fail(f"no way leads to {id} by Tab")

    def test_it_shows_the_file_and_what_changes_in_it(self) -> None:
        browser = self.browser
        browser.wait_for("document.querySelector('#queue-default')")
        self.assertEqual(browser.ask("document.querySelectorAll('svg[role=img][aria-label]').length"), 4)
        self.served.queue.enqueue("app:more")
        browser.wait_for("document.querySelector('#all-ready').parentNode.nextSibling.textContent === '4'")
        # whatever is stored is text
        self.open("#/jobs", f"document.querySelector('#job-{self.hostile.id}')")
        self.open(f"#/jobs/{self.hostile.id}", f"document.title.startsWith('Job {self.hostile.id}')")
        shown = browser.ask("document.querySelector('pre').textContent")
        self.assertEqual(json.loads(shown), HOSTILE)
        # as wide as a telephone, light and dark
        browser.resize(380, 800)
        for address, sign in (
            ("#/", "document.querySelector('#queue-default')"),
            ("#/jobs", "document.querySelector('form.filters')"),
            ("#/jobs/3", "document.title.startsWith('Job 3')"),
            (f"#/jobs/{self.hostile.id}", "document.querySelector('pre')"),
            ("#/errors", "document.title.startsWith('Errors')"),
            ("#/schedules", "document.title.startsWith('Schedules')"),
        ):
            self.open(address, sign)
            self.assertTrue(browser.ask(NARROW), address)
        light = browser.ask("getComputedStyle(document.body).backgroundColor")
        browser.prefer("dark")
        self.assertNotEqual(browser.ask("getComputedStyle(document.body).backgroundColor"), light)

    def test_below_a_prefix_it_shows_nothing_before_one_has_signed_in(self) -> None:
        browser, closed = self.browser, Served(self, free_reading=False, prefix="/admin/jobs")
        browser.go(closed.url.rstrip("/"))
        browser.wait_for("document.querySelector('#signing[open]')")
        self.assertNotIn("default", browser.ask("document.body.innerText"))
        browser.go("about:blank")
        browser.go(f"{closed.url}#token={quote(TOKEN)}")
        browser.wait_for("document.querySelector('.pulse.live') && document.querySelector('#queue-default')")
        self.assertEqual(browser.ask("location.href"), f"{closed.url}#/")
        self.assertIs(browser.ask("document.querySelector('#leave').hidden"), False)
        browser.ask("document.querySelector('#leave').click()")
        browser.wait_for("document.querySelector('#signing[open]')")

    def test_it_is_used_with_the_keyboard_alone(self) -> None:
        browser, job = self.browser, self.served.job
        browser.press("Tab", 9)
        self.assertEqual(browser.ask("document.activeElement.className"), "skip")
        self.open(f"#/jobs/{job.id}", f"document.querySelector('#cancel-job-{job.id}')")
        self.focus_by_tab(f"cancel-job-{job.id}")
        browser.press("Enter", 13)
        browser.wait_for("document.querySelector('#signing[open]')")
        browser.type(TOKEN)
        browser.press("Enter", 13)
        browser.wait_for("document.querySelector('#asking[open]')")
        self.focus_by_tab("yes")
        browser.press("Enter", 13)
        browser.wait_for("document.querySelector('h1 .cancelled')")
        self.assertIn(f"job {job.id}", browser.ask("document.querySelector('[role=status]').textContent"))
        # jobs are found
        self.open("#/jobs", "document.querySelectorAll('tbody tr').length === 3")
        self.focus_by_tab("filter-task")
        browser.type("app:first")
        browser.press("Enter", 13)
        browser.wait_for(f"location.hash.endsWith('app%3Afirst') && document.querySelector('#job-{job.id}')")
        browser.wait_for("document.querySelectorAll('tbody tr').length === 1")
        # what takes the place of a button takes its focus, too
        self.open("#/", "document.querySelector('#pause-queue-default')")
        self.focus_by_tab("pause-queue-default")
        browser.press("Enter", 13)
        browser.wait_for("document.activeElement.textContent === 'Resume'")
        self.assertTrue(browser.ask(FOCUS_IS_SEEN))
        self.assertEqual(job.refresh().state, "cancelled")
        self.assertFalse(browser.ask("document.cookie"))

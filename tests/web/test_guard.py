"""What the dashboard refuses."""

import unittest
from unittest import mock

from litequeue.errors import InvalidOption
from litequeue.web import dashboard
from litequeue.web.exchange import LARGEST_BODY
from litequeue.web.guard import LOOPBACK, Guard
from tests.web.case import BEARER, HOST, ORIGIN, TOKEN, WebCase

READING = ("/data/overview", "/data/jobs", "/data/jobs/1", "/data/errors", "/data/schedules", "/metrics")
CANCEL = {"verb": "cancel", "job": 1}


class TestGuard(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.enqueue()
        self.closed = self.dashboard(Guard(TOKEN, LOOPBACK))

    def is_untouched(self) -> bool:
        return self.reports.job(1).state == "ready"

    def enter(self) -> tuple[str, str]:
        """Sign in as the page does: the cookie, and the word that goes with it."""
        entered = self.post("/session", {"token": TOKEN}, Origin=ORIGIN)
        cookie = entered.headers["Set-Cookie"].partition(";")[0]
        return cookie, self.get("/session", Cookie=cookie).json["word"]

    # --- reading -------------------------------------------------------------------------------------

    def test_reading_is_free_only_where_it_was_made_so(self) -> None:
        for path in READING:
            with self.subTest(path):
                self.assertEqual(self.get(path).status, 200)
                refused = self.get(path, self.closed)
                self.assertEqual((refused.status, set(refused.json)), (401, {"error"}))
                self.assertIn("WWW-Authenticate", refused.headers)
                self.assertEqual(self.get(path, self.closed, Authorization=BEARER).status, 200)
        self.assertEqual(self.get("/events", self.closed).status, 401)

    def test_the_empty_page_is_for_everybody_and_holds_nothing(self) -> None:
        for path in ("/", "/app.js", "/style.css", "/icon.svg"):
            found = self.get(path, self.closed)
            self.assertEqual(found.status, 200)
            self.assertNotIn(b"app:fetch", found.body)

    def test_other_hosts_are_refused(self) -> None:
        for host in (
            "evil.example",
            "evil.example:8765",
            "127.0.0.1.evil.example",
            "",
            "[",
            "127.0.0.1@evil",
            "10.0.0.1",
        ):
            with self.subTest(host):
                self.assertEqual(self.get("/data/overview", Host=host).status, 421)
                self.assertEqual(self.get("/", Host=host, Authorization=BEARER).status, 421)
        for host in ("127.0.0.1", "localhost:1", "LOCALHOST", "localhost.:80", "[::1]:8765"):
            with self.subTest(host):
                self.assertEqual(self.get("/data/overview", Host=host).status, 200)

    def test_where_it_is_bound_to_all_addresses_any_of_them_will_do_but_no_other_name(self) -> None:
        app = self.dashboard(Guard(TOKEN, frozenset({"box"}), any_address=True))
        for host, status in (
            ("10.0.0.1:8765", 200),
            ("[fe80::1]:8765", 200),
            ("box", 200),
            ("evil.example", 421),
        ):
            self.assertEqual(
                self.get("/data/overview", app, Host=host, Authorization=BEARER).status, status, host
            )

    def test_pages_of_other_origins_are_refused(self) -> None:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:8765", ""):
            with self.subTest(origin):
                self.assertEqual(self.get("/data/overview", Origin=origin or "x").status, 403)
                self.assertEqual(
                    self.post("/actions", CANCEL, Origin=origin or "x", Authorization=BEARER).status, 403
                )
                self.assertEqual(self.post("/session", {"token": TOKEN}, Origin=origin or "x").status, 403)
        self.assertTrue(self.is_untouched())

    # --- writing -------------------------------------------------------------------------------------

    def test_writing_needs_the_token(self) -> None:
        for given in (
            "",
            "Bearer ",
            "Bearer wrong",
            f"Basic {TOKEN}",
            TOKEN,
            f"Bearer {TOKEN}x",
            "Bearer \xff",
        ):
            with self.subTest(given):
                self.assertEqual(self.post("/actions", CANCEL, Authorization=given).status, 401)
        self.assertTrue(self.is_untouched())
        self.assertEqual(self.post("/actions", CANCEL, Authorization=BEARER).status, 200)
        self.assertFalse(self.is_untouched())

    def test_the_page_acts_with_cookie_origin_and_word(self) -> None:
        cookie, word = self.enter()
        whole = {"Cookie": f"other=1; {cookie}", "Origin": ORIGIN, "X_Word": word}
        for left_out, status in (("Cookie", 401), ("Origin", 403), ("X_Word", 403)):
            with self.subTest(left_out):
                self.assertEqual(self.post("/actions", CANCEL, **{**whole, left_out: ""}).status, status)
        self.assertEqual(self.post("/actions", CANCEL, **{**whole, "X_Word": "wrong"}).status, 403)
        self.assertTrue(self.is_untouched())
        self.assertEqual(self.post("/actions", CANCEL, **whole).status, 200)

    def test_the_cookie_is_kept_from_scripts_and_other_sites_and_is_not_the_token(self) -> None:
        given = self.post("/session", {"token": TOKEN}, Origin=ORIGIN).headers["Set-Cookie"]
        self.assertIn("; HttpOnly; SameSite=Strict", given)
        self.assertNotIn(TOKEN, given)
        self.assertEqual(self.get("/data/overview", self.closed, Cookie=given.partition(";")[0]).status, 200)
        self.assertEqual(self.get("/data/overview", self.closed, Cookie="litequeue=1; =; ;").status, 401)

    def test_a_wrong_token_makes_no_session(self) -> None:
        for token in ("wrong", "", None, 1, [TOKEN], "\ud800", "é"):
            with self.subTest(token):
                found = self.post("/session", {"token": token})
                self.assertEqual(found.status, 403)
                self.assertNotIn("Set-Cookie", found.headers)

    def test_who_is_unknown_learns_no_word(self) -> None:
        found = self.get("/session").json
        self.assertEqual((found["reads"], found["acts"], found["word"]), (True, False, None))
        self.assertFalse(self.get("/session", self.closed).json["reads"])

    def test_leaving_takes_the_cookie_away(self) -> None:
        cookie, word = self.enter()
        self.assertEqual(self.post("/leave", {}, Cookie=cookie, Origin=ORIGIN).status, 403)
        left = self.post("/leave", {}, Cookie=cookie, Origin=ORIGIN, X_Word=word)
        self.assertIn("Max-Age=0", left.headers["Set-Cookie"])

    def test_the_token_is_compared_in_constant_time(self) -> None:
        with mock.patch("hmac.compare_digest", return_value=False) as compare:
            self.assertEqual(self.post("/actions", CANCEL, Authorization=BEARER).status, 401)
        self.assertTrue(compare.called)

    def test_without_a_token_nobody_acts(self) -> None:
        app = self.dashboard(Guard(None, LOOPBACK, free_reading=True))
        for given in ("Bearer ", "Bearer None"):
            self.assertEqual(self.post("/actions", CANCEL, app, Authorization=given).status, 401)
        self.assertEqual(self.post("/session", {"token": ""}, app).status, 403)
        self.assertFalse(self.get("/session", app).json["can_enter"])

    # --- bounds --------------------------------------------------------------------------------------

    def test_bodies_are_small_json_objects_of_a_known_length(self) -> None:
        large = {"verb": "x" * LARGEST_BODY}
        for body, headers, status in (
            (large, {}, 413),
            (CANCEL, {"Content_Length": ""}, 411),
            (CANCEL, {"Content_Length": "9" * 30}, 411),
            (CANCEL, {"Content_Type": "text/plain"}, 415),
            (CANCEL, {"Content_Type": "application/x-www-form-urlencoded"}, 415),
            (b"{", {}, 400),
            (b"[1]", {}, 400),
            (b"\xff", {}, 400),
            (b"[" * 10_000, {}, 400),
        ):
            with self.subTest(body=str(body)[:20], **headers):
                self.assertEqual(self.post("/actions", body, Authorization=BEARER, **headers).status, status)
        self.assertTrue(self.is_untouched())

    def test_nothing_else_is_there(self) -> None:
        for path in (
            "/nothing",
            "/../app.py",
            "/app.py",
            "/static/app.js",
            "/data",
            "/data/jobs/1/x",
            "/%2e%2e/app.py",
        ):
            self.assertEqual(self.get(path).status, 404, path)
        self.assertEqual(self.get("/actions").status, 405)
        self.assertEqual(self.post("/data/jobs", {}).status, 405)
        self.assertEqual(self.post("/data/jobs/1", {}).status, 405)

    def test_every_answer_is_fenced_in(self) -> None:
        for path in ("/", "/data/overview", "/nothing", "/app.js", "/data/jobs/9"):
            headers = self.get(path).headers
            policy = headers["Content-Security-Policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertEqual(headers["Referrer-Policy"], "no-referrer")
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertNotIn("Access-Control-Allow-Origin", headers)

    def test_an_error_of_ours_tells_nothing_but_that(self) -> None:
        with (
            mock.patch("litequeue.web.pages.overview", side_effect=RuntimeError("a secret")),
            self.assertLogs("litequeue", "ERROR"),
        ):
            found = self.get("/data/overview")
        self.assertEqual(found.status, 500)
        self.assertNotIn("secret", found.json["error"])


class TestRules(unittest.TestCase):
    def test_rules_that_would_open_too_much_or_nothing_are_refused(self) -> None:
        for given in (
            {"token": None},
            {"token": "short"},
            {"token": ""},
            {"token": "with\na line break in it"},
            {"token": "ein Wort mit Umläuten"},
            {"token": TOKEN, "free_reading": True},
            {"token": TOKEN, "hosts": "jobs.example.org"},
        ):
            with self.subTest(given), self.assertRaises(InvalidOption):
                dashboard("jobs.db", **given)

    def test_the_host_that_the_tests_ask_for_is_this_machine(self) -> None:
        self.assertIn(HOST.partition(":")[0], LOOPBACK)

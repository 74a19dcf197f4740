"""Who may ask what: hosts, origins, the token, and what a browser keeps of it.

A browser is given a cookie made from the token, never the token itself. A page of another site can neither
read the answers nor send the cookie (SameSite=Strict), and does not know the word that every action repeats.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import InvalidOption
from .exchange import Refused, Request

SHORTEST_TOKEN = 16
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
_BEARER = "bearer "


@dataclass(frozen=True)
class Guard:
    """The rules of one dashboard. Raises `InvalidOption` for those under which nothing could be shown.

    `hosts` are the names under which it may be asked for, None being any; `any_address` adds all numeric
    addresses. Without a token nobody may act.
    """

    token: str | None
    hosts: frozenset[str] | None = None
    free_reading: bool = False
    any_address: bool = False

    def __post_init__(self) -> None:
        if self.token is None and not self.free_reading:
            raise InvalidOption("without a token nobody may look; give one, or free_reading=True")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise InvalidOption("the token has characters that no header can carry; use letters and digits")
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise InvalidOption(f"the token is too easy to guess; use {SHORTEST_TOKEN} characters or more")
        if self.free_reading and self.hosts is None:
            raise InvalidOption("free_reading needs hosts=, the names under which the dashboard is asked for")

    # --- what is checked -----------------------------------------------------------------------------

    def check_sender(self, request: Request) -> None:
        """Raise `Refused` for another host's name, and for a page of another origin."""
        host = request.header("Host") or ""
        if not self._is_ours(host):
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, f"this dashboard is not {host!r:.80}")
        origin = request.header("Origin")
        if origin is not None and _place(origin) != host.lower():
            raise Refused(HTTPStatus.FORBIDDEN, f"a page of {origin!r:.80} may not ask here")

    def check_reading(self, request: Request) -> None:
        """Raise `Refused` unless the sender may look."""
        if not self.free_reading and not self.is_known(request):
            raise _unknown("look")

    def check_writing(self, request: Request) -> None:
        """Raise `Refused` unless the sender may act: with the token, or from a page that was given it."""
        if self._bears_token(request):
            return
        if not self._has_cookie(request):
            raise _unknown("act")
        if request.header("Origin") is None or not _same(request.header("X-Word"), self._made("word")):
            raise Refused(
                HTTPStatus.FORBIDDEN, "this did not come from the dashboard's own page; load it again"
            )

    def is_known(self, request: Request) -> bool:
        """Whether the sender has the token, or a cookie that was made from it."""
        return self._bears_token(request) or self._has_cookie(request)

    # --- sessions ------------------------------------------------------------------------------------

    def word(self, request: Request) -> str | None:
        """What the page of a known sender must repeat with every action."""
        return self._made("word") if self.is_known(request) else None

    def enter(self, request: Request, token: object) -> tuple[str, str]:
        """The header that gives the sender its cookie. Raises `Refused` for a wrong token."""
        if not isinstance(token, str) or not _same(token, self.token):
            raise Refused(HTTPStatus.FORBIDDEN, "that is not the token of this dashboard")
        return self._cookie(request, self._made("session"), "")

    def leave(self, request: Request) -> tuple[str, str]:
        """The header that takes the cookie away."""
        return self._cookie(request, "", "; Max-Age=0")

    def _cookie(self, request: Request, value: str, more: str) -> tuple[str, str]:
        path = str(request.environ.get("SCRIPT_NAME", "")).partition(";")[0] or "/"
        secure = "; Secure" if request.environ.get("wsgi.url_scheme") == "https" else ""
        given = f"{self._name()}={value}; Path={path}; HttpOnly; SameSite=Strict{secure}{more}"
        return ("Set-Cookie", given)

    # --- secrets -------------------------------------------------------------------------------------

    def _is_ours(self, host: str) -> bool:
        if self.hosts is None:
            return True
        name = _name_of(host)
        return name in self.hosts or (self.any_address and _is_address(name))

    def _bears_token(self, request: Request) -> bool:
        given = request.header("Authorization") or ""
        return given[: len(_BEARER)].lower() == _BEARER and _same(given[len(_BEARER) :].strip(), self.token)

    def _has_cookie(self, request: Request) -> bool:
        if self.token is None:
            return False
        pairs = (pair.strip().partition("=") for pair in (request.header("Cookie") or "").split(";"))
        return any(name == self._name() and _same(value, self._made("session")) for name, _, value in pairs)

    def _name(self) -> str:
        """A name of its own for each dashboard: cookies do not tell ports apart."""
        return f"litequeue-{self._made('name')[:8]}"

    def _made(self, purpose: str) -> str:
        return hmac.digest((self.token or "").encode(), f"litequeue {purpose}".encode(), "sha256").hex()


def _unknown(verb: str) -> Refused:
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        f"only who has the token may {verb}",
        (("WWW-Authenticate", 'Bearer realm="litequeue"'),),
    )


def _same(given: str | None, secret: str | None) -> bool:
    if given is None or secret is None:
        return False
    return hmac.compare_digest(given.encode(errors="replace"), secret.encode())


def _place(origin: str) -> str:
    return origin.lower().partition("://")[2]


def _name_of(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True

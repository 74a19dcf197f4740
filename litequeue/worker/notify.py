"""Tells systemd how a worker is, as its units of `Type=notify` want it; nobody else is told."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping

from ..clock import SECOND, Clock
from ..log import log

_PATIENCE = 1.0  # seconds; whoever reads may be busy


class Notifier:
    """Speaks the protocol of `sd_notify` to one socket; with none, it is silent.

    `interval`: the dog bites when it was not fed for so many microseconds; None: there is no dog.
    """

    def __init__(self, address: str | None, interval: int | None, clock: Clock) -> None:
        self._address = address
        self._interval = interval
        self._clock = clock
        self._told: int | None = None
        self.moved_at = 0  # when the worker was last seen to go on

    def ready(self) -> None:
        """The worker works."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """It was asked to stop."""
        self._tell("STOPPING=1")

    def progress(self, status: str, other: int) -> None:
        """It goes on: feed the dog, unless what else must go on did so last at `other`, too long ago.

        To be called often; what is said is said four times in the dog's time, or each second.
        """
        now = self._clock.monotonic()
        if self._interval is not None and now - other >= self._interval:
            return
        self.moved_at = now
        if self._told is not None and now - self._told < (self._interval or 4 * SECOND) // 4:
            return
        self._told = now
        self._tell(*([f"STATUS={status}"] if self._interval is None else [f"STATUS={status}", "WATCHDOG=1"]))

    def _tell(self, *words: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.settimeout(_PATIENCE)
                line.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            log.warning("systemd can not be told %s: %s", " ".join(words), error)


def taken_from(environment: MutableMapping[str, str], clock: Clock) -> Notifier:
    """The notifier that the environment asks for.

    That is taken out of it, for what tasks start is not the service.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    micros, owner = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
    if not address.startswith(("/", "@")):
        return Notifier(None, None, clock)
    is_ours = owner in ("", str(os.getpid()))
    interval = int(micros) if is_ours and micros.isascii() and micros.isdigit() else 0
    place = f"\0{address[1:]}" if address.startswith("@") else address
    return Notifier(place, interval or None, clock)

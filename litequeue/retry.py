"""When a failed attempt is tried again: a value that turns failures into delays."""

from __future__ import annotations

import builtins
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from .clock import SECOND, duration
from .errors import InvalidOption, shown
from .names import module_name

ExceptionTypes = type[BaseException] | str | Sequence[type[BaseException] | str]
RetryFunction = Callable[[int, BaseException], float | timedelta | None]
_FOR_EVER = 2**31
_STEEPEST = 1_000_000


@dataclass(frozen=True)
class Retry:
    """How often and how late a failed job is tried again.

    The wait before try n + 1 is drawn evenly from 0 to min(max_delay, base * backoff ** (n - 1)) seconds
    ("full jitter", Marc Brooker, "Exponential Backoff and Jitter", 2015); `jitter=False` takes the upper
    end. `intervals` gives the waits one by one instead, the last one repeating. Only exceptions in `on`
    are tried again, never those in `give_up_on`; both hold classes, or names such as "app:MyError".
    """

    max_attempts: int | None = 3
    backoff: float = 2.0
    base: float | timedelta = 1.0
    max_delay: float | timedelta = 3600.0
    jitter: bool = True
    intervals: Sequence[float | timedelta] = ()
    on: ExceptionTypes = ()
    give_up_on: ExceptionTypes = ()

    def __post_init__(self) -> None:
        attempts = self.max_attempts
        if attempts is not None and (type(attempts) is not int or not 1 <= attempts < _FOR_EVER):
            raise InvalidOption(
                f"max_attempts is {shown(attempts)}; give a whole number from 1, or None for ever"
            )
        if isinstance(self.backoff, bool) or not isinstance(self.backoff, (int, float)):
            raise InvalidOption(f"backoff is {shown(self.backoff)}; give a number")
        if not 1 <= self.backoff <= _STEEPEST:  # NaN is not either
            raise InvalidOption(f"backoff is {shown(self.backoff)}; give a factor from 1 to {_STEEPEST}")
        if type(self.jitter) is not bool:
            raise InvalidOption(f"jitter is {shown(self.jitter)}; give True or False")
        set_field = object.__setattr__  # the documented way to normalise a frozen dataclass
        set_field(self, "base", duration(self.base, "base") / SECOND)
        set_field(self, "max_delay", duration(self.max_delay, "max_delay") / SECOND)
        set_field(self, "intervals", _intervals(self.intervals))
        set_field(self, "on", _names(self.on, "on"))
        set_field(self, "give_up_on", _names(self.give_up_on, "give_up_on"))

    def delay(self, failures: int, error: BaseException | None, rng: random.Random) -> int | None:
        """Microseconds to wait after the given number of failures, or None when no try is left.

        Without an error only the number of attempts decides, not the lists.
        """
        if self.max_attempts is not None and failures >= self.max_attempts:
            return None
        if error is not None and not self._wants(error):
            return None
        return round(self._seconds(failures, rng) * SECOND)

    def to_json(self) -> dict[str, object]:
        """What is stored with a job, as plain JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Retry:
        """The policy that `to_json` described."""
        return cls(**data)  # type: ignore[arg-type]

    def _wants(self, error: BaseException) -> bool:
        names = {exception_name(kind) for kind in type(error).__mro__}
        if names.intersection(self.give_up_on):  # type: ignore[arg-type]
            return False
        return not self.on or bool(names.intersection(self.on))  # type: ignore[arg-type]

    def _seconds(self, failures: int, rng: random.Random) -> float:
        if self.intervals:
            return float(self.intervals[min(failures, len(self.intervals)) - 1])  # type: ignore[arg-type]
        try:
            longest = min(self.max_delay, self.base * self.backoff ** (failures - 1))
        except OverflowError:
            longest = self.max_delay
        return rng.uniform(0, longest) if self.jitter else longest  # type: ignore


RetryOption = int | Retry | RetryFunction


def exception_name(kind: type[BaseException]) -> str:
    """The name under which an exception class is listed in a stored policy: `module:QualName`.

    A class of a script has the same name in the script as in a worker that imports it.
    """
    return f"{module_name(kind)}:{kind.__qualname__}"


def retry_policy(value: RetryOption) -> Retry | RetryFunction:
    """The policy that the `retry` option names: a number of attempts, a `Retry`, or a function.

    A number n is `Retry(n)`: at most n attempts, with the default waits. 0 is 1: no second try.
    """
    if isinstance(value, Retry):
        return value
    if type(value) is int:
        if value < 0:
            raise InvalidOption(f"retry is {shown(value)}; give a number of attempts, or a Retry")
        return Retry(max(value, 1))
    if callable(value) and not isinstance(value, type):
        return value
    raise InvalidOption(f"retry is {shown(value)}; give a number of attempts, a Retry, or a function")


def next_delay(
    policy: Retry | RetryFunction, failures: int, error: BaseException, rng: random.Random
) -> int | None:
    """Microseconds until the next try, or None when the policy gives the job up."""
    if isinstance(policy, Retry):
        return policy.delay(failures, error, rng)
    seconds = policy(failures, error)
    return None if seconds is None else duration(seconds, "the delay from the retry function")


def _intervals(given: Sequence[float | timedelta]) -> tuple[float, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidOption(f"intervals is {shown(given)}; give the waits one by one, such as [10, 60, 300]")
    return tuple(duration(wait, "intervals") / SECOND for wait in given)


def _names(kinds: ExceptionTypes, option: str) -> tuple[str, ...]:
    listed = kinds if isinstance(kinds, Iterable) and not isinstance(kinds, (str, type)) else (kinds,)
    return tuple(_name(kind, option) for kind in listed)


def _name(kind: object, option: str) -> str:
    known = getattr(builtins, kind, None) if isinstance(kind, str) else kind
    if isinstance(known, type) and issubclass(known, BaseException):
        return exception_name(known)
    if isinstance(kind, str) and ":" in kind:
        return kind  # the producer need not have the class
    raise InvalidOption(
        f"{option} holds {shown(kind)}; give exception classes, or names such as 'app:MyError'"
    )


NO_RETRY = Retry(max_attempts=1)

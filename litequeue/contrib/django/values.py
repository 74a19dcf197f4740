"""Values as Django wants them: instants that are aware with USE_TZ and else naive, and plain JSON."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from .framework import normalize_json


def from_django(moment: datetime) -> datetime:
    """An instant of Django's as an aware one."""
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def to_django(moment: datetime | None) -> datetime | None:
    """An aware instant as Django wants it."""
    return moment if moment is None or settings.USE_TZ else timezone.make_naive(moment)


def plain_json(value: Any) -> Any:
    """The value as JSON would give it back: safe strings, choices and enums become what they stand for.

    Raises `TypeError` for what Django takes for no JSON.
    """
    return json.loads(json.dumps(normalize_json(value)))

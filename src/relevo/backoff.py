"""How long to wait before another try.

Waits double from half a second to a minute, if nothing else is said, each shortened by chance to at least
half of it, so that clients which failed together do not come back together (Brooker 2015, *Exponential
Backoff and Jitter*, "equal jitter").
"""

from __future__ import annotations

import random
import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 0.5, 60.0


def wait(number: int, *, shortest: float = SHORTEST, longest: float = LONGEST) -> float:
    """Seconds to wait after the try of this number, from 1."""
    most = min(longest, shortest * 2 ** min(number - 1, 30))
    return random.uniform(most / 2, most)  # noqa: S311 - chance, not secrecy


def retry_after(value: str | None) -> float:
    """Seconds that a service asks to wait, given as such or as a date (RFC 9110, section 10.2.3); 0 for none."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0

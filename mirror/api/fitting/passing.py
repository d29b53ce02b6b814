"""Whether an error is one of the moment: the same change, asked for again, may well go through. Pure.

Resolvers report a deadlock or a database that is slow like any other error, with HTTP 200, so that their code and words
are all there is to tell by. Nobody said no in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mirror.errors import Reported

# `extensions.code`: of gRPC, of Postgres and MySQL, of gateways.
_CODES = frozenset(
    {
        "ABORTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLOCK", "DEADLOCK_DETECTED",
        "LOCK_TIMEOUT", "LOCK_WAIT_TIMEOUT", "SERIALIZATION_FAILURE", "TIMEOUT", "REQUEST_TIMEOUT", "GATEWAY_TIMEOUT",
        "SERVICE_UNAVAILABLE", "TEMPORARILY_UNAVAILABLE", "OVERLOADED", "THROTTLED", "RATE_LIMITED",
        "TOO_MANY_REQUESTS", "40001", "40P01", "55P03", "1205", "1213",
    }
)  # fmt: skip
_WORDS = re.compile(
    r"dead ?lock|time[ds]?[ -]?out\b|deadline (?:was )?exceeded|context cancell?ed|try(?:ing)? (?:it )?again"
    r"|retry (?:later|the|your)|restart(?:ing)? (?:the )?transaction|could not serialize|serialization failure"
    r"|lock wait|(?:temporarily|service|server|currently) (?:is )?(?:unavailable|overloaded|busy)|temporary failure"
    r"|too many (?:connections|clients|requests)|connection (?:was )?(?:refused|reset|closed|lost)|bad connection"
    r"|broken pipe|server has gone away|rate limit|internal (?:\w+ )?error",
    re.IGNORECASE,
)


def is_passing(reported: Sequence[Reported]) -> bool:
    """Whether each of these errors is one of the moment."""
    return bool(reported) and all(_passes(error) for error in reported)


def _passes(error: Reported) -> bool:
    code = (error.code or "").upper()
    return code in _CODES or _WORDS.search(error.message) is not None

"""The arguments of a listing: filters and order, from their texts (W&B API notes, section 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mirror.wandb_protocol.errors import RequestRefused

OLDEST_FIRST = "+created_at"


def invalid_filters(why: str) -> RequestRefused:
    """The refusal of filters, whatever is wrong with them."""
    return RequestRefused(f"invalid filters: {why}", status=400)


def filters_object(text: str | None) -> Mapping[str, Any] | None:
    """W&B's Mongo-style object; None for one that keeps everything.

    Raises:
        RequestRefused: it is no JSON, or no object.
    """
    if not text or text.strip() in ("{}", "null"):
        return None
    try:
        tree = json.loads(text)
    except ValueError:
        raise invalid_filters("not JSON") from None
    except RecursionError:
        raise invalid_filters("they nest too deeply") from None
    if not isinstance(tree, Mapping):
        raise invalid_filters("expected an object")
    return tree or None


def field_and_direction(order: str | None) -> tuple[str, bool]:
    """The field that an order names, and whether it descends.

    Without a sign the SDK's key formatter means descending (query_generator.py); none at all is oldest first.
    """
    text = order or OLDEST_FIRST
    return text.lstrip("+-"), not text.startswith("+")

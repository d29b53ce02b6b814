"""What the process has asked of a server: the counters, and their value at a moment."""

from __future__ import annotations

import msgspec


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has cost so far."""

    graphql_requests: int  # tries, retries included
    transfer_requests: int  # requests for bytes, redirects and retries included
    retries: int  # of GraphQL requests; a transfer's further tries are the caller's
    bytes_down: int  # bodies as they came over the wire, before decompression
    bytes_up: int  # bodies as they were sent


class Meter:
    """Counts. Shared by the session and the transfers of one client."""

    def __init__(self) -> None:
        self.graphql_requests = self.transfer_requests = self.retries = 0
        self.bytes_down = self.bytes_up = 0

    @property
    def spent(self) -> Spent:
        """The counters now."""
        return Spent(
            graphql_requests=self.graphql_requests,
            transfer_requests=self.transfer_requests,
            retries=self.retries,
            bytes_down=self.bytes_down,
            bytes_up=self.bytes_up,
        )

"""One function a kind of operation: look at the server, decide, write if need be, look again.

The first look is what makes a delivery safe to repeat: an answer that was lost, or a process that was killed after the
server acted, is found out by it, and nothing is sent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from mirror.errors import ServerError
from mirror.records.operations import (
    Create,
    Delete,
    DeleteFile,
    Edit,
    Entry,
    LogArtifact,
    Stop,
    UpdateState,
    UploadFile,
    UseArtifact,
)
from mirror.replay.artifact_deliveries import log_artifact, use_artifact
from mirror.replay.context import DeliveryContext
from mirror.replay.file_deliveries import delete_file, upload_file
from mirror.replay.outcomes import Delivered, UnconfirmedDelivery, words_of
from mirror.replay.run_deliveries import create, delete, edit, stop, update_state


async def deliver(context: DeliveryContext, entry: Entry) -> Delivered:
    """Deliver one entry.

    Raises:
        RefusedDelivery: bury it.
        HeldDelivery: both sides changed the same, and nobody decided yet.
        UnconfirmedDelivery: look again later.
        MirrorError: of the network or the server; see `outcomes`.
    """
    try:
        return await _DELIVERIES[type(entry.operation)](context, entry, entry.operation)
    except ServerError as error:
        # To write while somebody else does is answered 409, for this mutation alone (W&B API notes, section 2).
        if error.status != HTTPStatus.CONFLICT:
            raise
        raise UnconfirmedDelivery(words_of(error)) from error


_DELIVERIES: dict[type[Any], Callable[[DeliveryContext, Entry, Any], Awaitable[Delivered]]] = {
    Edit: edit,
    UpdateState: update_state,
    UploadFile: upload_file,
    DeleteFile: delete_file,
    Create: create,
    Stop: stop,
    Delete: delete,
    LogArtifact: log_artifact,
    UseArtifact: use_artifact,
}

"""Whose a prefix of a bucket is: a file there names the lake. A second lake would take the first one's files for rests.

The name of a lake is in its database, so that it comes along where that is restored under another name.
"""

from __future__ import annotations

import io

from mirror.cluster.bucket import Bucket
from mirror.errors import HomeUnusable

NAME = "lake-id"


def own(bucket: Bucket, lake_id: str) -> None:
    """Say at a prefix whose it is; who has the lease calls it before anything is written there.

    Raises:
        HomeUnusable: it is that of another lake.
        LakeAway, StoreError: it cannot be asked, or not be written.
    """
    if _owner(bucket) is None:
        bucket.put(NAME, lake_id.encode())
    if (owner := _owner(bucket)) != lake_id:
        raise HomeUnusable(
            f"{bucket.address} holds the files of another lake ({owner}), which this one ({lake_id}) would remove",
            hint="choose a prefix for each lake; where that one is gone for good, remove what is there",
        )


def _owner(bucket: Bucket) -> str | None:
    said = io.BytesIO()
    return said.getvalue().decode(errors="replace").strip() if bucket.get_into(NAME, said) else None

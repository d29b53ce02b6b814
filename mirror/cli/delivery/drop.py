"""Giving an entry up without losing its trace: the receipt is committed first, only then does the entry leave.

The order of writes, and what a crash leaves behind each:

    1. the lake's lock is taken      nothing is delivered meanwhile, since a replay needs the same lock
    2. a new entry is claimed        the next replay puts it back; no later edit is folded into it meanwhile
    3. the receipt is committed      it is there and has a receipt `dropped`; who wants it gone drops it again
    4. the entry leaves              done
"""

from __future__ import annotations

import msgspec

from mirror.cli.setting import Setting
from mirror.errors import EntryMoved
from mirror.outbox import Outbox
from mirror.outbox.spool import utc_now
from mirror.records.operations import Entry
from mirror.records.passes import Changes, ProjectKey
from mirror.records.receipts import Receipt
from mirror.records.texts import dump_strict
from mirror.store.engine.lake import Lake
from mirror.store.write.receipts import Delivered
from mirror.store.write.writer import commit


def give_up(setting: Setting, outbox: Outbox, entry: Entry) -> Entry:
    """Drop an entry.

    Returns:
        It as it was dropped, with what was folded into it until then.

    Raises:
        HomeBusy: another process writes the lake, or delivers; the entry stays.
        EntryMoved: it is claimed, or gone.
        OtherDeployment: the home mirrors another server.
        StoreError: the disk failed; the entry stays.
    """
    deployment = setting.deployment
    with Lake(
        setting.home,
        deployment=deployment.id,
        known_as=deployment.names,
        app_url=deployment.app_url,
        settings=setting.config.store,
    ) as lake:
        state, entry = outbox.get(entry.id)
        if state == "claimed":
            raise EntryMoved(f"entry {entry.id} is claimed now")
        if state != "new":  # no edit is folded into it any more
            _write_receipt(lake, entry)
            outbox.drop(entry)
            return entry
        claimed = outbox.claim(entry)
        if claimed is None:
            raise EntryMoved(f"entry {entry.id} has moved")
        try:
            _write_receipt(lake, claimed)
        except BaseException:
            outbox.put_back(claimed)
            raise
        outbox.finish(claimed)
        return claimed


def _write_receipt(lake: Lake, entry: Entry) -> None:
    now = utc_now()
    receipt = Receipt(
        id=entry.id,
        entity=entry.entity,
        project=entry.project,
        run_id=entry.run_id,
        kind=entry.kind,
        operation=dump_strict(msgspec.to_builtins(entry.operation)),
        created_at=entry.created_at,
        ended_at=now,
        outcome="dropped",
        attempts=entry.attempts,
        sent=None,
        answer=entry.reason,
        duration_s=0.0,
        folded=entry.folded,
    )
    key = ProjectKey(entry.entity, entry.project)
    commit(lake, Changes(key=key, at=now), (), delivered=Delivered(receipts=(receipt,)))

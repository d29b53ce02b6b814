"""What `edit`, `upload`, `outbox` and `replay` print with `--json` is what docs/json.md lists."""

from __future__ import annotations

from mirror.locks import Holder
from tests.cli.conftest import Editor
from tests.cli.test_json import TABLES, agrees

ENTRY = "wandb-mirror outbox list --json"


def test_every_answer_about_the_outbox_is_as_documented(editor: Editor) -> None:
    queued = editor("edit", "r0", "--notes", "ours", "--config", "new=1", "--json").json
    agrees(queued, "wandb-mirror edit RUN --json")
    agrees(queued["entries"][0], ENTRY)
    uploaded = editor("upload", "r0", "mirror/mirror.toml", "--json").json
    agrees(uploaded["entries"][0], ENTRY)
    editor.queue("edit", "r1", "--state", "failed")
    editor.sandbox.state.edit_run("team", "proj", "r0", notes="theirs")
    editor.sandbox.state.edit_run("team", "proj", "r1", state="finished")

    compared = editor("outbox", "diff", "--json").json
    agrees(compared, "wandb-mirror outbox diff --json")
    assert editor("replay", "--dry-run", "--json").json == compared
    for operation in compared["operations"]:
        entry = {key: value for key, value in operation.items() if key in TABLES[ENTRY]}
        agrees(entry, ENTRY)
        agrees({key: value for key, value in operation.items() if key not in entry}, "operations[] of diff")
        for change in operation["changes"]:
            agrees(change, "changes[] of diff")

    said = editor("replay", "--json", code=9).json
    agrees(said, "wandb-mirror replay --json")
    assert (said["applied"], said["held"], said["buried"]) == (1, 1, 1)
    for left in said["left"]:
        agrees(left, "left[] of replay")

    listed = editor("outbox", "list", "--json").json
    assert {entry["state"] for entry in listed} == {"conflict", "dead"}
    for entry in listed:
        agrees(entry, ENTRY)
        shown = editor("outbox", "show", entry["id"], "--json").json
        agrees(shown, "wandb-mirror outbox show ID --json")
        for receipt in shown["receipts"]:
            agrees(receipt, "receipts[] of show")

    status = editor("status", "--json", code=9).json
    agrees(status["outbox"], "outbox of status")
    for trouble in status["outbox"]["troubles"]:
        agrees(trouble, "troubles[] of outbox")
    assert list(TABLES["writer of status"]) == list(Holder.__struct_fields__)
    pending = editor("status", "r0", "--json", code=9).json["pending"]
    agrees(pending[0], ENTRY)

    conflict, dead = sorted(listed, key=lambda entry: str(entry["state"]))
    for command in (["resolve", conflict["id"], "--theirs"], ["retry", dead["id"]], ["drop", dead["id"], "--yes"]):
        done = editor("outbox", *command, "--json").json
        agrees(done, "wandb-mirror edit RUN --json")
        agrees(done["entries"][0], ENTRY)

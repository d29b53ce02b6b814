"""Deleted runs: out of sight at once, and kept so that deleting twice is no error and deleting can be undone."""

from __future__ import annotations

from mirror.sandbox.state.files import FileShelf
from mirror.sandbox.state.records import RunRecord


class Trash(FileShelf):
    """The part of SandboxState that deletes runs. Their bytes leave the bucket and come back with them."""

    def delete_run(self, entity: str, project: str, run: str) -> RunRecord:
        """Move the run and its files to the trash, as deleteRun does.

        Raises:
            KeyError: there is no such run.
        """
        with self.lock:
            record = self.projects[entity, project].runs.pop(run)
            self.runs_by_id.pop(record.id, None)
            bodies: dict[str, bytes] = {}
            for file in record.files.values():
                self.files_by_id.pop(file.id, None)
                body = self.bucket.get(file.object_key)
                if body is not None:
                    bodies[file.object_key] = body
                self.bucket.remove(file.object_key)
            record.deleted_at = self.now_text()
            record.project.version += 1
            self.trash[record.id] = (record, bodies)
            return record

    def undelete_run(self, run: RunRecord) -> None:
        """Bring a run back from the trash; nothing happens when another run took its id meanwhile."""
        with self.lock:
            if run.name in run.project.runs or run.id not in self.trash:
                return
            _, bodies = self.trash.pop(run.id)
            for file in run.files.values():
                self.files_by_id[file.id] = file
                if file.object_key in bodies:
                    self.bucket.put(file.object_key, bodies[file.object_key])
            run.deleted_at = None
            run.updated_at = self.now_text()
            run.project.runs[run.name] = run
            self.runs_by_id[run.id] = run
            run.project.version += 1

    def trashed_run(self, storage_id: str) -> RunRecord | None:
        """The deleted run of a storage id."""
        held = self.trash.get(storage_id)
        return None if held is None else held[0]

    def trashed_runs(self) -> list[RunRecord]:
        """Every deleted run, in the order of deletion."""
        return [run for run, _ in self.trash.values()]

"""Run files in the state: announced, uploaded, registered, removed."""

from __future__ import annotations

from mirror.sandbox.state.core import CoreState
from mirror.sandbox.state.records import FileRecord, RunRecord
from mirror.sandbox.storage import guess_mimetype, md5_base64
from mirror.wandb_protocol.wire import number_id


class FileShelf(CoreState):
    """The file part of SandboxState."""

    def add_file(
        self,
        entity: str,
        project: str,
        run: str,
        name: str,
        body: bytes,
        *,
        md5: str | None = "computed",
        size: int | None = None,
        mimetype: str | None = None,
        reference: str | None = None,
    ) -> FileRecord:
        """A run file with its bytes, replacing one of the same name.

        Args:
            md5: Base64 digest to announce; None announces none, any text may be a lie.
            size: Size to announce when it should differ from the real one.
            reference: URL of a reference file; it is then both `url` and `directUrl`.
        """
        with self.lock:
            record = self.announce_file(self.run(entity, project, run), name)
            self.store_file(record, body)
            record.listed, record.reference = True, reference
            record.md5 = md5_base64(body) if md5 == "computed" else md5
            record.size = len(body) if size is None else size
            record.mimetype = mimetype if mimetype is not None else record.mimetype
            return record

    def announce_file(self, run: RunRecord, name: str) -> FileRecord:
        """The record of a file that is going to be uploaded; the held one when the name is known."""
        held = run.files.get(name)
        if held is not None:
            return held
        number = self.number()
        record = FileRecord(
            id=number_id("File", number),
            name=name,
            run=run,
            object_key=f"runs/{run.number}/files/{number}",
            listed=False,
        )
        run.files[name] = record
        self.files_by_id[record.id] = record
        self.files_by_key[record.object_key] = record
        return record

    def store_file(self, record: FileRecord, body: bytes) -> None:
        """Uploaded bytes arrive in the bucket."""
        self.bucket.put(record.object_key, body)
        record.size, record.md5 = len(body), md5_base64(body)
        record.mimetype, record.updated_at = guess_mimetype(record.name), self.now_text()
        if self.files_register_on_put:
            record.listed = True

    def remove_file(self, file_id: str) -> None:
        """Delete a file by its id; unknown ids are ignored."""
        with self.lock:
            record = self.files_by_id.pop(file_id, None)
            if record is not None:
                self.files_by_key.pop(record.object_key, None)
                record.run.files.pop(record.name, None)
                self.bucket.remove(record.object_key)

    def put_object(self, key: str, body: bytes) -> None:
        """Bytes put to a signed URL."""
        with self.lock:
            record = self.files_by_key.get(key)
            if record is None:
                self.bucket.put(key, body)
            else:
                self.store_file(record, body)

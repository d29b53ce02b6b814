"""Files of runs and artifacts: listed as the SDK lists them, downloaded out of the mirror's own bytes."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from mirror.errors import CommError, NotMirrored
from mirror.records.addresses import RunPath
from mirror.records.operations import DeleteFile, UploadFile
from mirror.run.api_paths import ApiPaths
from mirror.run.downloads import Content, check_name, has_equal, write_out
from mirror.run.facts import RunFacts
from mirror.run.file_names import queued_files, selected_names
from mirror.run.pending.local import LocalMirror, Pending
from mirror.run.sdk.attrs import Attrs
from mirror.run.sdk.calls import as_comm_error
from mirror.run.sdk.pages import SizedPages
from mirror.store.read.files import RunFile, read_files
from mirror.texts.typed_paths import in_shell
from mirror.texts.values import storable

_S3 = re.compile(r"^https?://.*s3.*amazonaws\.com.*")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class File(Attrs):
    """A file of a run or of an artifact.

    Its fields are those of the server in both spellings: `id name url direct_url sizeBytes mimetype updated_at md5`.
    The server's signed addresses end with the day and are not mirrored: `url` is the address of the file's page, for
    people, and `direct_url` is None. For a reference both are what it refers to.

    Args:
        local: the mirror.
        attrs: the fields.
        content: its bytes.
        run: whose file it is; None for a file of an artifact.
    """

    def __init__(
        self, local: LocalMirror, attrs: Mapping[str, Any], content: Content, run: RunFacts | None = None
    ) -> None:
        super().__init__(attrs)
        self._local = local
        self._content = content
        self._is_deleted = False
        self.run = run

    @property
    def size(self) -> int:
        """Length in bytes; 0 when the server does not say."""
        return int(self._attrs["sizeBytes"] or 0)

    @property
    def path_uri(self) -> str:
        """`s3://bucket/key` of a file in S3, the address of a reference; `""` and a warning where neither is known.

        The mirror does not hold where the server keeps its files, so that only references have one.
        """
        direct_url = self._attrs.get("directUrl")
        if not direct_url:
            warnings.warn("Unable to find direct_url of file", UserWarning, stacklevel=2)
            return ""
        if direct_url == self._attrs.get("url"):
            return str(direct_url)
        if _S3.match(direct_url):
            parts = urlsplit(direct_url)
            return f"s3://{parts.netloc.split('.')[0]}/{parts.path.lstrip('/')}"
        warnings.warn("path_uri is only available for files stored in S3", UserWarning, stacklevel=2)
        return ""

    @as_comm_error
    def download(
        self, root: str = ".", replace: bool = False, exist_ok: bool = False, api: ApiPaths | None = None
    ) -> io.TextIOWrapper:
        """Write the file below a folder. It is there whole and verified, or not at all, which the SDK's may not be.

        Args:
            root: the folder.
            replace: put it in the place of one with other bytes.
            exist_ok: take a file that is there, if it holds these very bytes; the SDK takes any, also half of one.
            api: whose mirror has the bytes; None: this one's.

        Returns:
            The file, opened for reading as text.

        Raises:
            NotMirrored: the bytes are not held; the message says why.
            CommError: the name would leave the folder, or a file is there already.
            StoreError: the mirror's bytes are damaged, or the disk is full.
        """
        objects = (api._local if api is not None else self._local).objects
        check_name(self._content.name)
        path = Path(root, self._content.name)
        if (path.exists() or path.is_symlink()) and not replace:
            if not exist_ok:
                raise ValueError(
                    "File already exists, pass replace=True to overwrite or exist_ok=True to leave it as is and don't"
                    " error."
                )
            if not has_equal(objects, self._content, path):
                raise ValueError(f"File already exists with other bytes, pass replace=True to overwrite: {path}")
        else:
            write_out(objects, [self._content], root, replace=replace)
        return path.open()

    @as_comm_error
    def delete(self) -> None:
        """Queue the deletion of the file upstream. Listings leave it out at once; the mirror keeps its bytes.

        Asked a second time, nothing more is queued.

        Raises:
            CommError: it is a file of an artifact.
        """
        if self.run is None:
            raise CommError("a file of an artifact cannot be deleted: a version never changes")
        if self._is_deleted:
            return
        number = self.run._project_internal_id
        self.run._queue(
            DeleteFile(
                name=self._content.name,
                file_id=self._attrs["id"],
                project_internal_id=None if number is None else str(number),
                base_md5=self._attrs["md5"],
            )
        )
        self._is_deleted = True

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<File {self._content.name} ({self._attrs['mimetype']}) {human_size(self.size)}>"


class Files(SizedPages[File]):
    """Files of a run, by name. Which ones is settled by the first look; what is queued for the run is among them.

    Args:
        local: the mirror.
        run: whose files.
        names: exact names; none for all.
        pattern: as SQL's LIKE takes it, for example `%.json`.
        per_page: files read at a time.

    Raises:
        ValueError: both names and a pattern are given.
    """

    def __init__(
        self,
        local: LocalMirror,
        run: RunFacts,
        names: Sequence[str] | None = None,
        per_page: int = 50,
        pattern: str | None = None,
    ) -> None:
        if names and pattern:
            raise ValueError(
                "Querying for files by both names and pattern is not supported. Please provide either a list of names"
                " or a pattern to match."
            )
        super().__init__(per_page)
        self._local = local
        self.run = run
        self._wanted = [names] if isinstance(names, str) else list(names or ())
        self._pattern = pattern

    def __len__(self) -> int:
        """How many files the run has, whatever names or a pattern select, as with the SDK."""
        return self._total

    def __repr__(self) -> str:
        """As the SDK shows it."""
        return f"<Files {'/'.join(self.run.path)} ({len(self)})>"

    @cached_property
    def _overlay(self) -> dict[str, Pending | None]:
        return queued_files(self._local.pending(self.run._run_path))

    @cached_property
    def _names(self) -> list[str]:
        return selected_names(self.run, self._overlay, self._wanted, self._pattern)

    @cached_property
    def _total(self) -> int:
        is_all = not self._wanted and not self._pattern
        return len(self._names if is_all else selected_names(self.run, self._overlay, (), None))

    def _count(self) -> int:
        return len(self._names)

    def _read(self, start: int, stop: int) -> Sequence[File]:
        names = self._names[start:stop]
        rows = read_files(self._local.reader, self.run._run_path, names)
        return [self._file(name, rows.get(name), self._overlay.get(name)) for name in names]

    def _file(self, name: str, row: RunFile | None, queued: Pending | None) -> File:
        if queued is not None and isinstance(queued.operation, UploadFile):
            return _of_upload(self.run, queued.operation, row, f"{queued.entry.created_at:%Y-%m-%dT%H:%M:%S}")
        if row is None:  # never: rows of files stay
            raise NotMirrored(f"{name!r} of {self.run} is not in this mirror any more")
        return _of_row(self.run, row)


def file_of_upload(run: RunFacts, upload: UploadFile) -> File:
    """A file that is queued to be uploaded: it reads at once."""
    name = storable(upload.name)
    return _of_upload(run, upload, read_files(run._local.reader, run._run_path, [name]).get(name), None)


def human_size(size: int) -> str:
    """Bytes as the SDK writes them: `12.0B`, `1.5KiB`."""
    power = next((power for power in range(len(_UNITS)) if round(size / 1024**power, 1) < 1024), len(_UNITS) - 1)
    return f"{round(size / 1024**power, 1)}{_UNITS[power]}"


def _of_upload(run: RunFacts, upload: UploadFile, before: RunFile | None, at: str | None) -> File:
    attrs = {
        "id": before.file_id if before is not None else None,
        "sizeBytes": upload.size,
        "md5": upload.md5,
        "mimetype": upload.mimetype,
        "updatedAt": at,
    }
    return File(run._local, _located(run, upload.name, attrs), Content(name=upload.name, object=upload.object), run)


def _of_row(run: RunFacts, row: RunFile) -> File:
    attrs = {
        "id": row.file_id,
        "sizeBytes": row.size,
        "md5": row.md5,
        "mimetype": row.mimetype,
        "updatedAt": row.updated_at,
    }
    return File(run._local, _located(run, row.name, attrs), content_of_file(run._run_path, row), run)


def _located(run: RunFacts, name: str, attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {**attrs, "name": name, "url": f"{run.url}/files/{quote(name)}", "directUrl": None}


def content_of_file(run: RunPath, row: RunFile) -> Content:
    """The bytes of a listed file, if the ones that are held are the ones that are listed.

    Args:
        run: whose file it is.
        row: the file.
    """
    if row.status in ("held", "gone") and row.object is not None:
        return Content(name=row.name, object=row.object)
    path = str(run)
    left_out = row.status == "left_out"
    hint = f"`wandb-mirror pull {in_shell(*run)}` fetches it"
    if left_out:
        hint += ", once files_include, files_exclude and file_size_max_mb of its source let it in"
    return Content(
        name=row.name,
        object=None,
        missing=f"{row.name!r} of {path} is not in this mirror: {'left out, ' if left_out else ''}{row.reason}",
        hint=hint,
    )

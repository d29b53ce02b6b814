"""The files from which a run was made, as far as it kept them: its program, packages and uncommitted changes."""

from __future__ import annotations

import msgspec

from mirror.records.addresses import RunPath
from mirror.store.engine.queries import Queryable, structs
from mirror.store.schema.keys import OF_RUN

REQUIREMENTS = ("requirements.txt", "conda-environment.yaml", "uv.lock", "pylock.toml")  # the better one first
DIFF = "diff.patch"
METADATA = "wandb-metadata.json"
_CODE = "code/"  # W&B's folder of what `save_code` keeps
_KEPT = ", ".join(f"'{name}'" for name in (*REQUIREMENTS, DIFF, METADATA))


class CodeFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of the files."""

    name: str  # slash path, untrusted
    source: str  # "files" of the run, or the version that `run.log_code` made
    size: int | None  # bytes
    object: str | None  # digest of the bytes; None: not held
    reason: str | None  # why they are not

    @property
    def is_source(self) -> bool:
        """Whether it is a source of the program."""
        return self.source != "files" or self.name.startswith(_CODE)


_FILES = f"""
SELECT name, 'files', size, if(status = 'held', object, NULL), reason FROM lake.files
WHERE {OF_RUN} AND status <> 'gone'
    AND (starts_with(name, '{_CODE}') OR name IN ({_KEPT}))
"""
# What stays of a version is its newest: `log_code` makes one each time that it is called.
_LOGGED = """
SELECT f.path, a.sequence || ':v' || a.version_index::VARCHAR, f.size, f.object, f.reason
FROM lake.artifact_files f JOIN lake.artifacts a USING (artifact_id)
JOIN lake.run_artifacts l USING (artifact_id)
WHERE l.entity = ? AND l.project = ? AND l.run_id = ? AND l.direction = 'logged' AND a.type = 'code'
    AND a.state = 'COMMITTED'
QUALIFY a.version_index = max(a.version_index) OVER (PARTITION BY a.sequence)
"""


def code_of_run(lake: Queryable, run: RunPath) -> list[CodeFile]:
    """The files that tell from what a run was made, by name."""
    rows = lake.rows(f"{_FILES} UNION ALL {_LOGGED} ORDER BY 2, 1", [*run, *run])
    return structs(CodeFile, rows)

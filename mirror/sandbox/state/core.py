"""The ground of the state: the lock, the settings, ids, people and projects."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
from collections.abc import Iterable

from mirror.sandbox.clock import Clock
from mirror.sandbox.histories.rows import LiveNumbers
from mirror.sandbox.state.listings import RunListings
from mirror.sandbox.state.people_records import ApiKeyRecord, Invite, OrganizationRecord, TeamRecord
from mirror.sandbox.state.records import (
    AgentRecord,
    ArtifactRecord,
    CollectionRecord,
    FileRecord,
    ProjectRecord,
    RunRecord,
    SweepRecord,
    UserRecord,
)
from mirror.sandbox.storage import Bucket, Storage
from mirror.wandb_protocol.errors import RequestRefused
from mirror.wandb_protocol.paging import PageLimits
from mirror.wandb_protocol.wire import Moment, number_id, timestamp, typed_id

DEFAULT_FEATURES: frozenset[str] = frozenset(
    {
        "MARK_RUN_FILES_UPLOADED",
        "UPDATE_RUN_STATE",
        "SWEEPS_QUERY_FILTERING",
        "TOTAL_COUNT_IN_FILE_CONNECTION",
        "ARTIFACT_TAGS",
        "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
        "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
        "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
        "STRUCTURED_CONSOLE_LOGS",
        "FILESTREAM_GZIP",
        "LARGE_FILENAMES",
        "CLIENT_IDS",
        "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
        "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
        "ARTIFACT_REGISTRY_SEARCH",
        "INCLUDE_ARTIFACT_TYPES_IN_REGISTRY_CREATION",
    }
)


class CoreState:
    """Users and projects, and what every other part of the state stands on."""

    def __init__(self, *, clock: Clock, bucket: Bucket, storage: Storage, base_url: str, limits: PageLimits) -> None:
        self.lock = threading.RLock()
        self.clock, self.bucket, self.storage, self.base_url, self.limits = clock, bucket, storage, base_url, limits
        self.features = set(DEFAULT_FEATURES)
        self.listings = RunListings()
        self.shuffle = random.Random(0)  # noqa: S311 -- order of parquetUrls; seeded so that a failure repeats itself
        self.files_register_on_put = True  # False: as self-hosted servers, which wait for markRunFilesUploaded
        self.history_includes_exported = True  # whether ranged `history` repeats exported rows (unconfirmed at W&B)
        self.sweeps_make_projects = True  # False: upsertSweep into a project that is not there is a 404
        self.updated_at_moves = True  # whether edits of a run move its updatedAt (unconfirmed at W&B)
        self.log_page_lines = 10_000  # the server's cap on a page of logLines
        self.xxhash_digests = False  # whether the SDK may give new artifacts XXH128 digests
        self.exports_on_finish = True  # export the history of a live run that completes
        self.export_delay_s = 0.0  # how long after the end of a run its history is exported; about 4 hours at W&B
        self.live_numbers: LiveNumbers = "float"  # how whole numbers stand in liveData
        self.users: dict[str, UserRecord] = {}  # by API key
        self.accounts: dict[str, UserRecord] = {}  # by username
        self.api_keys: dict[str, ApiKeyRecord] = {}  # by id
        self.teams: dict[str, TeamRecord] = {}  # by name
        self.entity_numbers: dict[str, int] = {}  # by name
        self.organizations: dict[str, OrganizationRecord] = {}  # by name
        self.invites: dict[str, Invite] = {}  # by id
        self.projects: dict[tuple[str, str], ProjectRecord] = {}
        self.runs_by_id: dict[str, RunRecord] = {}
        self.trash: dict[str, tuple[RunRecord, dict[str, bytes]]] = {}  # deleted runs and their bytes by storage id
        self.sweeps_by_id: dict[str, SweepRecord] = {}
        self.files_by_id: dict[str, FileRecord] = {}
        self.files_by_key: dict[str, FileRecord] = {}
        self.artifacts_by_id: dict[str, ArtifactRecord] = {}
        self.collections_by_id: dict[str, CollectionRecord] = {}
        self.manifests_by_id: dict[str, ArtifactRecord] = {}
        self.agents: dict[str, AgentRecord] = {}
        self._numbers = 0

    def number(self) -> int:
        """The next number of the server-wide sequence that ids are made of."""
        self._numbers += 1
        return self._numbers

    def entity_id(self, name: str) -> str:
        """The id of an entity, known or not; the same at every call."""
        if name not in self.entity_numbers:
            self.entity_numbers[name] = self.number()
        return number_id("Entity", self.entity_numbers[name])

    def now_text(self) -> str:
        return timestamp(None, self.clock.now())

    def stamp(self, moment: Moment) -> str:
        return timestamp(moment, self.clock.now())

    # ------------------------------------------------------------------ people and projects

    def add_user(
        self,
        username: str,
        *,
        entity: str | None = None,
        entities: Iterable[str] = (),
        api_key: str | None = None,
        admin: bool = False,
        everywhere: bool = False,
    ) -> UserRecord:
        """A user with a key of 40 characters. `entity` (default: the username) is the default entity.

        `everywhere` makes a member of all entities, as the sandbox's default user is; others are outsiders to every
        private project whose entity is not among theirs.
        """
        with self.lock:
            default = entity or username
            user = UserRecord(
                number=self.number(),
                username=username,
                api_key=api_key or secrets.token_hex(20),
                entity=default,
                entities={default, username, *entities},
                email=f"{username}@example.com",
                admin=admin,
                everywhere=everywhere,
            )
            user.id = number_id("User", user.number)
            self.accounts[username] = user
            self.grant_key(user, user.api_key)
            return user

    def grant_key(self, user: UserRecord, key: str, *, description: str | None = None) -> ApiKeyRecord:
        """A key that authenticates the user from now on."""
        record = ApiKeyRecord(id=typed_id("ApiKey", self.number()), key=key, user=user, description=description)
        self.api_keys[record.id] = record
        self.users[key] = user
        return record

    def default_user(self) -> UserRecord | None:
        return next(iter(self.users.values()), None)

    def add_project(
        self,
        entity: str,
        project: str,
        *,
        private: bool = False,
        description: str | None = None,
        created_at: Moment = None,
    ) -> ProjectRecord:
        """The project, made when it is not there yet. A private one is null for keys outside its entity."""
        with self.lock:
            held = self.projects.get((entity, project))
            if held is not None:
                return held
            number = self.number()
            record = ProjectRecord(
                number=number,
                id=typed_id("Project", project, entity, number),
                entity=entity,
                name=project,
                private=private,
                created_at=self.stamp(created_at),
                user=self.default_user(),
                description=description,
            )
            self.projects[entity, project] = record
            return record

    def project(self, entity: str, project: str) -> ProjectRecord:
        """The project's record; KeyError when there is none."""
        with self.lock:
            return self.projects[entity, project]

    def run(self, entity: str, project: str, run: str) -> RunRecord:
        """The run's record; KeyError when there is none."""
        with self.lock:
            return self.projects[entity, project].runs[run]

    def changed(self, run: RunRecord, *, heartbeat: bool = False) -> None:
        """Note a change: listings are sorted anew, `updatedAt` moves, and with `heartbeat` also `heartbeatAt`."""
        run.project.version += 1
        now = self.now_text()
        if heartbeat or self.updated_at_moves:
            run.updated_at = now
        if heartbeat:
            run.heartbeat_at = now

    # ------------------------------------------------------------------ lookups

    def run_by_storage_id(self, storage_id: str) -> RunRecord:
        """The run of a storage id.

        Raises:
            RequestRefused: there is none.
        """
        record = self.runs_by_id.get(storage_id)
        if record is None:
            raise RequestRefused("run not found", status=404)
        return record

    def find_project(self, entity: str | None, project: str | None) -> ProjectRecord | None:
        with contextlib.suppress(KeyError):
            return self.projects[entity or "", project or ""]
        return None

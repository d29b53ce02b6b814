"""Every path under a home, by name. Nobody else joins paths, and no name from a server ever becomes one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from mirror.errors import ConfigError

HOME_VARIABLE = "WANDB_MIRROR_HOME"


@dataclass(frozen=True)
class Home:
    """The mirror's directory; one home mirrors one deployment."""

    root: Path
    config_file: Path | None = None  # another one than the home's own

    @property
    def config(self) -> Path:
        """The configuration file that `init` writes, unless a command names another."""
        return self.config_file or self.root / "mirror.toml"

    @property
    def id(self) -> Path:
        """A name for this home that no other has: a text, made when it first shares a lake."""
        return self.root / "home.id"

    @property
    def cache(self) -> Path:
        """Folder of the objects of a shared lake that this machine keeps, each as below `objects`."""
        return self.root / "cache"

    @property
    def lake(self) -> Path:
        """Folder of the lake: the catalog and its data."""
        return self.root / "lake"

    @property
    def catalog(self) -> Path:
        """The DuckLake catalog, a SQLite database in WAL mode."""
        return self.lake / "catalog.sqlite"

    @property
    def lake_data(self) -> Path:
        """Folder of the Parquet files; their names are DuckLake's."""
        return self.lake / "data"

    @property
    def lake_digests(self) -> Path:
        """The digests of the lake's Parquet files, a line each, written before the commit that names them."""
        return self.lake / "data.digests"

    @property
    def catalog_seal(self) -> Path:
        """The digest of the catalog while nobody writes: JSON."""
        return self.lake / "catalog.seal"

    @property
    def objects(self) -> Path:
        """Folder of the objects: immutable bytes, each below the first two digits of its SHA-256."""
        return self.root / "objects" / "sha256"

    @property
    def objects_lock(self) -> Path:
        """Held while an object gets its name from another process than the lake's writer, or is removed."""
        return self.root / "objects.lock"

    @property
    def staged(self) -> Path:
        """Whole objects that are not on the disk for certain yet; nobody but their writer may trust them."""
        return self.root / "objects" / "staged"

    @property
    def damaged(self) -> Path:
        """What `repair` took out of the way: a folder for each day."""
        return self.root / "damaged"

    @property
    def partial(self) -> Path:
        """Folder of the downloads under way; their names are digests of ours."""
        return self.root / "partial"

    @property
    def metric_data(self) -> Path:
        """Folder of the Parquet files of the table `metrics`, where DuckLake keeps them too."""
        return self.lake_data / "main" / "metrics"

    @property
    def outbox(self) -> Path:
        """Folder of the entries; the folder below it that holds an entry is its state."""
        return self.root / "outbox"

    @property
    def outbox_lock(self) -> Path:
        """Held for each single change of the outbox; holds the id that was given last."""
        return self.outbox / "lock"

    @property
    def outbox_cursor(self) -> Path:
        """How far the outbox of the group that shares the lake is known here: JSON; made anew by reading all of it."""
        return self.root / "outbox.cursor"

    @property
    def sharing_lock(self) -> Path:
        """Held while operations are exchanged with the outbox of the group."""
        return self.root / "sharing.lock"

    @property
    def replay_lock(self) -> Path:
        """Held by the one process that delivers what is in the outbox."""
        return self.root / "replay.lock"

    @property
    def replay_holder(self) -> Path:
        """Who holds `replay.lock`: JSON with `pid`, `command`, `since`."""
        return self.root / "replay.json"

    @property
    def writer_lock(self) -> Path:
        """Held by the one process that writes the lake."""
        return self.root / "writer.lock"

    @property
    def writer_holder(self) -> Path:
        """Who holds `writer.lock`: JSON with `pid`, `command`, `since`."""
        return self.root / "writer.json"

    @property
    def daemon_lock(self) -> Path:
        """Held by the one daemon of this home."""
        return self.root / "daemon.lock"

    @property
    def daemon_holder(self) -> Path:
        """Who holds `daemon.lock`: JSON with `pid`, `command`, `since`."""
        return self.root / "daemon.json"

    @property
    def pull_begun(self) -> Path:
        """There while a pull of a command is under way, and after one that was stopped before its end."""
        return self.root / "pull.begun"

    @property
    def daemon_socket(self) -> Path:
        """Where the daemon of this home takes requests, while it runs."""
        return self.root / "daemon.sock"

    @property
    def offline(self) -> Path:
        """Folder of the copies of the SDK's logs, each under its digest, until they are delivered."""
        return self.root / "offline"

    @property
    def recordings(self) -> Path:
        """Folder of the runs whose processes trained against the gateway, each a folder as the SDK writes them."""
        return self.offline / "recorded"

    @property
    def watch(self) -> Path:
        """Folder of what the daemon remembers of its watch folders: JSON, a file each."""
        return self.root / "watch"

    @property
    def sql_history(self) -> Path:
        """What was typed at the prompt of `wandb-mirror sql`: a text with a time for each statement."""
        return self.root / "sql_history"

    @property
    def gateway_key(self) -> Path:
        """The key that the gateway of this home takes: a text of mode 0600, made by its first start."""
        return self.root / "gateway.key"

    @property
    def gateway_lock(self) -> Path:
        """Held while the gateway's key is made."""
        return self.root / "gateway.lock"

    @property
    def documents(self) -> Path:
        """GraphQL documents as they were fitted to the server: JSON; made anew when it is lost."""
        return self.root / "documents.json"

    @property
    def server_facts(self) -> Path:
        """What is known of the server: JSON; made anew by asking it."""
        return self.root / "server.json"

    @property
    def status(self) -> Path:
        """What the daemon last said about itself: JSON."""
        return self.root / "status.json"


def find_home(explicit: str | os.PathLike[str] | None = None, env: Mapping[str, str] = os.environ) -> Home:
    """Choose the home: the argument, else `WANDB_MIRROR_HOME`, else the user's data folder.

    Args:
        explicit: a path given by the user; `~` is expanded.
        env: the environment to look in.

    Raises:
        ConfigError: it names the folder of a user who does not exist, or is no path.
    """
    chosen = explicit or env.get(HOME_VARIABLE) or platformdirs.user_data_path("wandb-mirror")
    try:
        os.fspath(chosen).encode()
    except UnicodeError as error:
        raise ConfigError(
            "the path of the home is not UTF-8 text",
            hint="choose another --home, or a UTF-8 locale (LC_ALL=C.UTF-8)",
        ) from error
    try:
        return Home(Path(os.path.abspath(Path(chosen).expanduser())))
    except (RuntimeError, ValueError) as error:  # no such user behind `~`; a NUL
        raise ConfigError(f"{os.fspath(chosen)!r} cannot be a home: {error}", hint="give a full path") from error

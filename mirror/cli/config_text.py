"""The text of a configuration file: a commented new one, and sources added to one that people have edited."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

PLACE = ("catalog", "data", "objects", "s3_endpoint", "s3_region")  # settings of where a lake stands
_HEAD = re.compile(r"\s*\[")
_STORE = re.compile(r"\s*\[\s*store\s*\]")
_SETS_PLACE = re.compile(rf"\s*({'|'.join(PLACE)})\s*=")

_TEMPLATE = """\
# wandb-mirror: what to mirror, and how. Every setting has a default; a line with '#' in front shows it.
# Times and sizes carry their unit in the name. Unknown keys are errors, so that a typing mistake is seen.

[server]
base_url = {base_url}
# aliases = ["https://old-name.example.com"]  # other addresses of the same server
# timeout_s = 30.0             # one request
# retry_attempts = 6           # tries of one request, the first included
# retry_wait_max_s = 20.0      # longest wait between two tries that the server did not ask for
# rate_limit_patience_minutes = 15.0  # how long a request waits for a server that answers 429 (too many requests)
# answer_max_mb = 256          # the longest answer to one GraphQL request, when it is decompressed
# slow_bytes_per_s = 500.0     # what comes slower, all downloads together, is left to a later pull; 0: nothing is
# slow_after_s = 60.0          # for so long it may be slower
# concurrent_requests = 4      # requests under way at once
# concurrent_transfers = 16    # downloads under way at once, per host
# The API key comes from WANDB_API_KEY, from netrc (`wandb login`) or from a service manager's credential.

[pull]
# overlap_minutes = 10.0       # how far before the last pull to check for writes that came late
# reconcile_every_hours = 24.0 # how often all runs are compared, to see edits and deletions
# page_size_start = 100        # runs in the first page; the size adapts from there
# page_size_max = 1000         # runs in the largest page
# page_seconds_target = 8.0    # pages slower than this do not grow
# export_size_max_mb = 10000.0   # the largest part of a history export
# requests_per_second = 1.0    # GraphQL requests of the process at most; default: no ceiling but what W&B asks for
# gone_fraction_max = 0.2      # a pass that would mark more of a project's runs as gone asks first

[store]
# memory_limit_mb = 1024       # memory of the local database
# threads = 2                  # default: all cores; for what is small, one
# A lake that a group shares has its catalog in PostgreSQL and its files in a bucket; by default it is in this folder.
# catalog = ""                 # "postgresql://USER@HOST/DATABASE"; the password comes from ~/.pgpass or PGPASSFILE
# data = ""                    # "s3://BUCKET/PREFIX"; the keys come as AWS's own tools find them
# objects = ""                 # another place for the bytes of files and exports; empty: below data
# s3_endpoint = ""             # "https://HOST" of another server than AWS that speaks S3
# s3_region = ""               # empty: as AWS's own settings say
# cache_mb = 10000             # bytes of files and exports that this machine keeps

[retention]
# snapshots_days = 1.0         # how far back SQL may ask for an earlier state of the mirror
# files_days = 1.0             # files of tables that no snapshot needs stay so long, for those who still read them
# objects_days = 7.0           # bytes of files and exports that nothing refers to stay so long from when they came
# partials_days = 7.0          # downloads that nobody went on with stay so long
# generations = 3              # of a run that W&B overwrote, rewound or made again, so many earlier states stay

[daemon]
# poll_minutes = 10.0          # between two pulls of a source
# poll_active_minutes = 2.0    # the same while it has runs that have not ended
# poll_quiet_minutes = 60.0    # the same at most, while nothing new is found
# pulls_at_once = 2            # sources that are pulled beside one another; the server's limits are shared
# rescan_s = 30.0              # how often the whole outbox is looked through, whatever was noticed
# probe_first_s = 5.0          # wait before a server that is away is asked again; doubled each time
# probe_longest_s = 300.0      # the longest such wait
# stop_within_s = 20.0         # what is being delivered may end so long after a stop; then it is put back
# stuck_after_minutes = 30.0   # a worker that does nothing so long is stuck: the service manager ends the process
# maintain_every_hours = 24.0  # how often small files are merged and what nothing needs is removed
# crashes_max = 5              # so many crashes of a worker within the next setting end the process
# crashes_within_minutes = 10.0
# listen = ""                  # where /healthz and /metrics answer, on loopback only: "127.0.0.1:9155"; empty: nowhere

[health]
# late_after_hours = 6.0       # a source waits for a person when a good pull is due by its own pace for longer
# backlog_after_hours = 6.0    # and so does an operation that is not delivered for longer
# disk_free_min_gb = 1.0       # and a disk with less room
# pull_within_hours = 0.0      # without a daemon: how often a timer of yours is to pull; 0: as you like

[serve]
# listen = ""                  # where the daemon answers W&B's own API, too, to whoever has its key: "127.0.0.1:8600"
# read_only = false            # refuse every change, which is queued otherwise
# upload_max_mb = 10000        # the largest file that may be uploaded through it

# Folders below which W&B's SDK keeps runs that it trains offline, which the daemon takes in and follows; as many as you
# like:
# [[offline]]
#  folder = "/data/runs"       # need not exist yet; what is in it is left as it is
#  entity = ""                 # of the runs, in place of the one that they name
#  project = ""                # of the runs, in place of the one that they name
#  online = false              # also runs that have a server while they train
#  synced = false              # also runs that `wandb sync` is done with

# What to mirror: ENTITY/PROJECT, and ENTITY/* for all projects of an entity. The first source that names a project
# decides what of it is wanted.
"""

# Below the first source, where a line works once its '#' is taken away.
_OF_A_SOURCE = """\
# filter = ""                  # only runs that W&B's filter keeps: '{"config.lr": {"$gt": 0.1}}'
# states = []                  # only runs in one of these states: ["finished"]
# tags = []                    # only runs with all of these tags
# since = ""                   # only runs made since a day, "2026-01-31", or within so many days, "90d"
# history = true               # what runs logged step by step
# streams = true               # system metrics and console output
# files_include = ["*"]        # globs over names of run files; * matches slashes, too
# files_exclude = []           # globs that win over files_include
# file_size_max_mb = 1024.0    # larger run files are left out, and listed as such
# artifacts_include = []       # globs over artifact names whose bytes are wanted: ["model*"]
# artifact_size_max_mb = 1024.0  # larger artifacts are left out, and listed as such
# conflicts = "hold"           # an edit of a value that somebody else changed: hold, ours (write it) or theirs
# poll_minutes = 0.0           # between two pulls by the daemon; 0: as [daemon] says
# poll_cron = ""               # when it pulls instead, as in a crontab and in local time: "0 * * * *"
# A folder whose new and changed files the daemon uploads to a run of this source; as many as you like:
# [[source.watch]]
#   folder = "/data/runs/r1"   # need not exist yet; links in it are not followed, files that vanish stay upstream
#   run = "r1"                 # the run's id; "*" for a folder that holds a folder for each run, named by its id
#   project = ""               # of the run; needed where the path of the source holds a glob
#   prefix = ""                # put before the names in the run: "checkpoints"
#   ignore = [".*", "*~", "#*#", "*.tmp", "*.part", "*.partial", "*.lock", "__pycache__"]  # globs over paths, tails too
#   stable_s = 10.0            # a file must have stayed as it is for so long
#   growing_minutes = 10.0     # a file that never does is uploaded as it is, so often at most
"""


def new_config_text(base_url: str, sources: Sequence[str]) -> str:
    """A new file, every setting shown with its default and its meaning."""
    text = add_sources(_TEMPLATE.format(base_url=_toml(base_url)), sources[:1])
    return add_sources(text + _OF_A_SOURCE if sources else text, sources[1:])


def add_sources(text: str, sources: Sequence[str]) -> str:
    """The text with further sources at its end; everything that was there stays."""
    for path in sources:
        text = f"{text.rstrip()}\n\n[[source]]\npath = {_toml(path)}\n"
    return text


def set_store(text: str, values: Mapping[str, str]) -> str:
    """The text with these settings of `[store]`, and without others of where the lake stands.

    Args:
        text: of a file that people may have edited; what is no such setting stays as it is.
        values: of some of `PLACE`; empty: the lake is in the home.
    """
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if _HEAD.match(line)]
    begin = next((number for number in heads if _STORE.match(lines[number])), None)
    if begin is None:
        lines += ["", "[store]"]
        begin = len(lines) - 1
    end = next((number for number in heads if number > begin), len(lines))
    kept = [line for line in lines[begin + 1 : end] if not _SETS_PLACE.match(line)]
    said = [f"{name} = {_toml(values[name])}" for name in PLACE if values.get(name)]
    return "\n".join([*lines[: begin + 1], *said, *kept, *lines[end:]]) + "\n"


def _toml(value: str) -> str:
    """A text as a TOML basic string, whose escapes are JSON's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

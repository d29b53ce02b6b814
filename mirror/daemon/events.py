"""The closed list of what a log line can be about; alarms and dashboards match these names."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """One name for one thing that happened; the fields behind it say the rest."""

    STARTING = "starting"  # locks and store come next
    READY = "ready"  # recovered, workers run
    STOPPING = "stopping"  # a signal came: what is under way ends, or is put back
    STOPPED = "stopped"
    STOPPED_AT_ONCE = "stopped_at_once"  # a second signal came

    CONFIG_RELOADED = "config_reloaded"
    STATES_UNKNOWN = "states_unknown"  # a source wants runs in states that W&B does not have
    CONFIG_REFUSED = "config_refused"  # the new file is wrong: the old configuration stays
    CREDENTIAL_WARNING = "credential_warning"  # a place of keys could not be read

    OFFLINE = "offline"  # said once; probes are silent
    ONLINE = "online"
    KEY_REFUSED = "key_refused"  # the server is there and does not take the key; it is asked again as if it were away
    CLOCK_JUMPED = "clock_jumped"  # the machine slept, or somebody set the clock
    FINDING = "finding"  # something waits for a person; said once
    FINDING_OVER = "finding_over"
    REQUEST_RETRIED = "request_retried"

    PULL_DONE = "pull_done"
    SOURCE_FAILED = "source_failed"  # one project of a source; the others went on
    MAINTENANCE_DONE = "maintenance_done"
    MAINTENANCE_FAILED = "maintenance_failed"  # tried again when it is due the next time
    REPLAY_DONE = "replay_done"
    OPERATION_ENDED = "operation_ended"  # refused, in conflict or put back
    ENTRY_SET_ASIDE = "entry_set_aside"  # a file in the outbox that is no readable entry
    HOME_BUSY = "home_busy"  # another process delivers

    STANDBY = "standby"  # another process has the lease of the shared lake; said once
    LEASE_TAKEN = "lease_taken"  # this one pulls and delivers from now on
    LEASE_LOST = "lease_lost"  # another process does
    LAKE_AWAY = "lake_away"  # the database of the shared lake does not answer; tried again
    HANDED_OVER = "handed_over"  # operations that were queued here, to the outbox of the group
    SHARING_FAILED = "sharing_failed"  # they could not be, or the group's not be read; tried again, said once

    FILE_QUEUED = "file_queued"  # a file of a watch folder is to be uploaded
    FILES_LEFT_OUT = "files_left_out"  # files of a watch folder are not, for a reason; said once
    WATCH_FAILED = "watch_failed"  # nothing can be queued out of a watch folder; tried again
    WATCH_RESUMED = "watch_resumed"

    OFFLINE_RUN_ADDED = "offline_run_added"  # a run that trains without a server is taken in, and followed
    OFFLINE_RUN_ENDED = "offline_run_ended"  # all of it is here
    OFFLINE_RUN_LEFT_OUT = "offline_run_left_out"  # it is not taken, for a reason; said once
    OFFLINE_FAILED = "offline_failed"  # a folder of offline runs cannot be looked through; tried again
    OFFLINE_RESUMED = "offline_resumed"

    LISTENING = "listening"  # for /healthz and /metrics, or for requests of commands
    CANNOT_LISTEN = "cannot_listen"  # the port is somebody else's, the home holds no socket; tried again
    SERVING = "serving"  # a gateway answers W&B's own API
    GATEWAY_SAID = "gateway_said"  # a line of its own log, as of a defect met while answering
    GATEWAY_ENDED = "gateway_ended"  # or did not begin, as where somebody else has its port; tried again
    METRICS_MISSING = "metrics_missing"  # /metrics needs a library that is not installed
    ASKED = "asked"  # by a command, to do something now
    ANSWER_FAILED = "answer_failed"  # a defect met while answering; nothing else is touched

    WORKER_CRASHED = "worker_crashed"  # restarted with back-off
    WORKER_STUCK = "worker_stuck"  # the service manager is told nothing any more, and will end the process
    CRASH_LOOP = "crash_loop"  # the process ends

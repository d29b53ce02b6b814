"""A W&B-compatible server on loopback: the other side of the tests, and the default server of the demo.

It owns its schema, its state and its faults, and imports nothing from the rest of `mirror`: what it knows of W&B
comes from the W&B API notes and from what the SDK sends, not from our own client. Words: the **state** is the truth
that tests edit; a **fault** shapes answers on purpose; the **recorder** holds what was asked; the **bucket** holds
bytes behind signed URLs; an **outage** is the whole server gone; an **age** is the year whose schema a server has. It
never opens a connection and never writes to disk.
"""

from __future__ import annotations

from mirror.sandbox.clock import Clock
from mirror.sandbox.faults.fault import Fault, Match
from mirror.sandbox.faults.injector import Injector
from mirror.sandbox.histories.export_style import ColumnStyle, ExportStyle, StepType
from mirror.sandbox.recorder import Recorder, RequestRecord
from mirror.sandbox.schema.ages import Age
from mirror.sandbox.server import Sandbox
from mirror.sandbox.state.records import ConsoleLine, FileRecord, ProjectRecord, RunRecord, SweepRecord, UserRecord
from mirror.sandbox.state.sandbox_state import DEFAULT_FEATURES, SandboxState
from mirror.wandb_protocol.errors import RequestRefused

__all__ = [
    "DEFAULT_FEATURES",
    "Age",
    "Clock",
    "ColumnStyle",
    "ConsoleLine",
    "ExportStyle",
    "Fault",
    "FileRecord",
    "Injector",
    "Match",
    "ProjectRecord",
    "Recorder",
    "RequestRecord",
    "RequestRefused",
    "RunRecord",
    "Sandbox",
    "SandboxState",
    "StepType",
    "SweepRecord",
    "UserRecord",
]

"""Reads a workspace."""

import os
import sys

from wandb_workspaces.workspaces import Workspace  # type: ignore[import-not-found,unused-ignore]

print(Workspace.from_url(f"{os.environ['WANDB_BASE_URL']}/{sys.argv[1].replace(' ', '-')}?nw=abcdef"))

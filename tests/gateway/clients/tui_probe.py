"""Runs wandb-tui with another address: it has the hosted server's, and no option for one."""

import os
import sys

import wandb_tui  # type: ignore[import-not-found,unused-ignore]

wandb_tui.GRAPHQL_URL = f"{os.environ['WANDB_BASE_URL']}/graphql"
sys.argv = ["wandb-tui", *sys.argv[1:]]
wandb_tui.main()

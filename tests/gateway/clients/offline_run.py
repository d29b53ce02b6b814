"""Makes an offline run, to be synced."""

import sys

import wandb

run = wandb.init(mode="offline", project="clients", entity=sys.argv[1], dir=".")
run.log({"loss": 1.0})
run.finish()

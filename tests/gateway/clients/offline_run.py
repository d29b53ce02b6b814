"""Makes an offline run, to be synced; or reads it back."""

import sys

import wandb

entity, reads = sys.argv[1], sys.argv[2:]
if reads:
    run = wandb.Api().run(f"{entity}/clients/synced")
    print(run.state, run.config, run.summary["loss"], [row["loss"] for row in run.scan_history(keys=["loss"])])
else:
    with wandb.init(mode="offline", project="clients", entity=entity, id="synced", config={"lr": 1}, dir=".") as run:
        run.log({"loss": 1.0})

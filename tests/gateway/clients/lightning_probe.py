"""Downloads an artifact with Lightning's logger, or trains a run that uses one."""

import sys
from pathlib import Path

import wandb
from lightning.pytorch.loggers import WandbLogger  # type: ignore[import-not-found,unused-ignore]

PATH, what = sys.argv[1:]
if what == "download":
    for name in ("set:latest", "set:v0"):
        folder = WandbLogger.download_artifact(
            f"{PATH}/{name}", save_dir=f"artifacts/{name[4:]}", artifact_type="dataset"
        )
        print(sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*")))
else:
    entity, project = PATH.split("/")
    logger = WandbLogger(entity=entity, project=project, id="lightning")
    logger.log_metrics({"loss": 0.5}, step=1)
    print(logger.use_artifact(f"{PATH}/set:v0").name)
    logger.experiment.finish()
    run = wandb.Api().run(f"{PATH}/lightning")
    print(run.state, run.summary["loss"], [used.name for used in run.used_artifacts()])

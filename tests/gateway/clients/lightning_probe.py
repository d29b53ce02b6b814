"""Downloads an artifact with Lightning's logger, or has a run use one."""

import sys
from pathlib import Path

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
    print(WandbLogger(entity=entity, project=project).use_artifact(f"{PATH}/set:v0").name)

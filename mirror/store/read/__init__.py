"""From rows to records: what of runs, files, artifacts, sweeps and projects is held. Never writes."""

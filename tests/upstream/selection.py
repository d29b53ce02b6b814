"""Which of wandb's system tests are run: those whose outcome depends on what the server answers."""

from __future__ import annotations

FILES: tuple[str, ...] = (
    "test_core/test_public_api.py",
    "test_api/test_public_api_history.py",
    "test_api/test_service_api.py",
    "test_api/test_public_api_run_summary.py",
    "test_api/test_public_api_organizations.py",
    "test_sweep/test_sweep_public_api.py",
    "test_sweep/test_wandb_sweep.py",
    "test_sweep/test_wandb_agent.py",
    "test_sweep/test_wandb_agent_full.py",
    "test_artifacts/test_artifact_public_api.py",
    "test_artifacts/test_wandb_artifacts_api.py",
    "test_artifacts/test_wandb_run_artifacts.py",
    "test_artifacts/test_link_artifacts.py",
    "test_artifacts/test_model_workflows.py",
    "test_registries/test_link_registry.py",
    "test_registries/test_registry.py",
    "test_registries/test_registry_artifacts_public_api.py",
    "test_registries/test_registry_members.py",
    "test_core/test_offline_sync.py",
    "test_core/test_offline_sync_beta.py",
    "test_core/test_resume.py",
    "test_core/test_resume_auto.py",
    "test_core/test_wandb_run.py",
    "test_core/test_wandb_init.py",
    "test_core/test_file_stream.py",
    "test_core/test_file_upload.py",
    "test_core/test_metric_full.py",
)

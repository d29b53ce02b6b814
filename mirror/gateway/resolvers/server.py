"""What the gateway says of itself."""

from __future__ import annotations

from typing import Any

from mirror.gateway.context import context
from mirror.wandb_protocol.resolvers import Info, Resolvers, constant

# Features whose fields the gateway answers (W&B API notes, section 3).
FEATURES = (
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_TAGS",
    "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "LARGE_FILENAMES",
    "MARK_RUN_FILES_UPLOADED",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "STRUCTURED_CONSOLE_LOGS",
    "SWEEPS_QUERY_FILTERING",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "UPDATE_RUN_STATE",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
)


def _server_info(_root: Any, _info: Info) -> dict[str, Any]:
    return {"features": [{"name": name, "isEnabled": True} for name in FEATURES]}


def _features(server: dict[str, Any], _info: Info) -> Any:
    return server["features"]


def _frontend_host(_server: Any, info: Info) -> str:
    """The address of the server's own pages: those that links lead to."""
    return context(info).mirror.app_url.rstrip("/")


RESOLVERS: Resolvers = {
    "Query.serverInfo": _server_info,
    "ServerInfo.features": _features,
    "ServerInfo.frontendHost": _frontend_host,
    "ServerInfo.cliVersionInfo": constant({"max_cli_version": "0.31.0", "min_cli_version": "0.10.0"}),
    "ServerInfo.latestLocalVersionInfo": constant(None),
    "ServerInfo.messageOfTheDay": constant(None),
    "ServerInfo.pollingOK": constant(True),
}

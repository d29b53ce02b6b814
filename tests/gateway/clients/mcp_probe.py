"""Asks the tools of wandb-mcp-server, over the protocol that they are there for, and prints what each answered."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters  # type: ignore[import-not-found,unused-ignore]
from mcp.client.stdio import stdio_client  # type: ignore[import-not-found,unused-ignore]

ENTITY, PROJECT = sys.argv[1].split("/")
HERE = {"entity_name": ENTITY, "project_name": PROJECT}
SET = f"{ENTITY}/{PROJECT}/set"
RUNS = """query Runs($entity: String!, $project: String!, $filters: JSONString, $order: String, $limit: Int) {
  project(name: $project, entityName: $entity) { name runCount(filters: $filters)
    runs(first: $limit, filters: $filters, order: $order) {
      edges { node { id name displayName state createdAt tags config summaryMetrics } }
      pageInfo { endCursor hasNextPage } } } }"""
VARIABLES = {"entity": ENTITY, "project": PROJECT, "limit": 3, "order": "+created_at"}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("list_entities_tool", {}),
    ("query_wandb_entity_projects", {"entity": ENTITY}),
    ("probe_project_tool", {**HERE, "sample_runs": 3}),
    ("query_wandb_tool", {"query": RUNS, "variables": VARIABLES}),
    ("query_wandb_tool", {"query": RUNS, "variables": {**VARIABLES, "filters": '{"config.lr.value": {"$gt": 0.05}}'}}),
    ("get_run_history_tool", {**HERE, "run_id": "run1", "keys": ["loss"], "samples": 20}),
    ("get_run_history_tool", {**HERE, "run_id": "run1", "min_step": 10, "max_step": 20}),
    ("get_run_history_tool", {**HERE, "run_id": "run2"}),
    ("compare_runs_tool", {**HERE, "run_id_a": "run1", "run_id_b": "run2", "include_history_overlap": True}),
    ("diagnose_run_tool", {**HERE, "run_id": "run1", "loss_key": "loss"}),
    ("list_artifact_versions_tool", {**HERE, "collection_name": "set", "type_name": "dataset"}),
    ("get_artifact_details_tool", {"artifact_name": f"{SET}:v0", "include_files": True}),
    ("compare_artifact_versions_tool", {"artifact_name_a": f"{SET}:v0", "artifact_name_b": f"{SET}:v1"}),
]


async def main() -> None:
    server = StdioServerParameters(
        command="wandb_mcp_server", args=[], env={**os.environ, "MCP_ANALYTICS_DISABLED": "true"}
    )
    with Path(os.devnull).open("w") as nowhere:  # its log has times
        async with stdio_client(server, errlog=nowhere) as pipes, ClientSession(*pipes) as session:
            await session.initialize()
            for name, arguments in CALLS:
                answer = await session.call_tool(name, arguments)
                told = [_sorted(content.text) for content in answer.content]
                print(json.dumps([name, answer.isError, told], indent=1, sort_keys=True))


def _sorted(text: str) -> Any:
    """As JSON, whose keys the SDK gives in no order."""
    try:
        return json.loads(text)
    except ValueError:
        return text


asyncio.run(main())

"""Writes `docs/servers.md`: which servers the mirror works with, and what it has of each. `python -m tests.servers`.

The page is computed: from the capabilities that the mirror knows of, and from the schemas of servers of several ages as
the sandbox has them. `tests/pull/test_servers.py` pulls from each and compares value by value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import introspection_from_schema

from mirror.api.fitting.learning import by_current_names, types_in
from mirror.api.fitting.left_out import left_out_by
from mirror.records.capabilities import CAPABILITIES, OTHER_FIELDS, explained
from mirror.records.server import ServerFacts
from mirror.sandbox.schema.forms import schema

PAGE = Path(__file__).parent.parent / "docs" / "servers.md"
AGES: tuple[tuple[str, Any], ...] = (("current", "now"), ("2024", "2024"), ("2023", "2023"), ("2021", "2021"))

_HEAD = """# Which servers, which versions

*This page is made by `python -m tests.servers`; a test compares it.*

The mirror is written for a current W&B server, hosted or your own, and works with any that speaks W&B's GraphQL API.
Nothing has to be configured for that. Once for each server and version it asks what the server knows, which costs
three requests at the most, and keeps the answer in the home (`server.json`); from then on every document is fitted to
it: what a server does not know is not asked for. A server that does not describe itself is understood by its refusals.
An upgrade is noticed by the next pull, which asks again.

`wandb-mirror doctor` asks the very documents of a pull and says what each brought; `init`, `doctor` and `status` name
what a server lacks.

## Servers of several ages

What an age lacks is read from W&B's own clients of that time, as far as that can be known. A cell says what follows.

"""

_NAMES = """
## What is lost with what

The names are those of W&B's GraphQL schema. Where one of them is missing, or refused, this follows and nothing else:

| what | needs | without it |
|---|---|---|
"""

_REST = """
Any other field that a server lacks stays empty. A field that a server has and cannot serve for one run (it answers an
error, a value of another type, or no JSON, or no time, where a sound one was mirrored) costs that field of that run: it
is named in `failures` and tried again, and what was mirrored of it before stays.

What a server forbids, or fails at for every run, costs that alone as well: it is found part by part, left out for an
hour, named by `status` and `doctor`, and then asked for again. An outage is not taken for it.

## Proxies and certificates

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are followed, but on the way to this machine itself. Trusted are
certifi's authorities and the system's; a private one is named by `SSL_CERT_FILE`, `SSL_CERT_DIR` or, as W&B's
documentation has it, `REQUESTS_CA_BUNDLE` (a file or a folder, beside the others).

## Servers of others

A server that nobody here wrote is pulled from in `tests/contract/test_openwandb.py` (opt in with `-m soak`): openwandb
0.5.25, which names its types differently, pages and filters nothing, and has neither exports nor rows of histories
over this API. Its runs with config, summary, tags and files are mirrored, edits and uploads are delivered; the rest is
named.
W&B's own tests judge the server that our tests stand on: [their results](upstream-tests.md).

Without a list of runs with their ids there is nothing to mirror: then `pull` ends with status 7 and says so.
"""


def facts_of(age: Any) -> ServerFacts:
    """What a server of an age says about itself."""
    described = types_in(introspection_from_schema(schema(age=age))["__schema"]["types"])
    return ServerFacts(types=by_current_names(described).types, introspected=True)


def page() -> str:
    """The whole page."""
    lost = {
        name: {lack.capability: lack.without for lack in explained(left_out_by(facts_of(age)))} for name, age in AGES
    }
    rows = [f"| {' | '.join(['what', *lost])} |", f"|{'---|' * (len(AGES) + 1)}"]
    for capability in [*(each.name for each in CAPABILITIES), OTHER_FIELDS]:
        cells = [lost[name].get(capability, "yes") for name in lost]
        if set(cells) != {"yes"}:
            rows.append(f"| {' | '.join([capability, *cells])} |")
    names = [
        f"| {each.name} | {', '.join(f'`{name}`' for name in each.needs)} | {each.without} |" for each in CAPABILITIES
    ]
    return _HEAD + "\n".join(rows) + "\n" + _NAMES + "\n".join(names) + "\n" + _REST


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

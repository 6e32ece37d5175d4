"""Every operation of the API's description, asked with generated requests, by people who may do little.

Whatever is sent, the server answers as its description says, with no error of its own, and with nothing of another
tenant, whose ids are among what the addresses are filled with. `QD_API_EXAMPLES` sets how many requests are generated
for each operation besides the systematic ones.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from world import World

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("QD_API_EXAMPLES", "5")
# Ordered: the later ones may change what the earlier ones read.
ROLES = ["viewer", "PIPELINE_DEV"]
# How often a part of an address, a query or a scope is one that stands in one of the tenants.
KNOWN = 0.5
# Of what an answer must be like. Which requests are refused is for other tests: a schema cannot say all that is wrong.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
    "nothing_of_another_tenant",
]
# A stream has no end; signing out ends the token that asks.
LEFT_OUT = ["/api/v1/stream", "/api/v1/auth/sign-out"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(Path(os.environ["QD_TEST_QD"]), tmp_path_factory.mktemp("world"))
    yield world
    world.stop()


def settings(world: World, folder: Path) -> Path:
    lines = []
    for name, values in world.pool.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(sorted(values))}"]
    bindings = {f"path.{name}": name for name in ("id", "name", "path", "object")} | {
        "header.X-Tenant-Id": "tenant",
        "query.object": "object",
        "query.job": "id",
        "query.plan": "id",
    }
    lines.append("[parameters]")
    lines += [f'"{where}" = {{ dictionary = "{name}", probability = {KNOWN} }}' for where, name in bindings.items()]
    path = folder / "schemathesis.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("role", ROLES)
def test_every_operation_answers_as_it_is_described(world: World, role: str, tmp_path: Path) -> None:
    words = [
        *(Path(sys.executable).parent / "schemathesis", "--config-file", settings(world, tmp_path)),
        *("run", f"{world.url}/openapi.json"),
        *("--header", f"Authorization: Bearer {world.tokens[role]}"),
        *("--checks", ",".join(CHECKS)),
        *("--max-examples", EXAMPLES),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        *("--request-timeout", "20"),
        *("--generation-database", "none"),
        *("--continue-on-failure", "--no-color"),
    ]
    for path in LEFT_OUT:
        words += ["--exclude-path", path]
    ran = subprocess.run(
        words, env=os.environ | {"SCHEMATHESIS_HOOKS": "checks", "PYTHONPATH": str(HERE)}, cwd=tmp_path
    )
    assert ran.returncode == 0, world.last_words()

"""Two tenants of one server, `a` and `b`, that have the same things under the same names.

Whatever stands in `b` carries MARK in it, so that whoever reads it in `a` is seen to.
"""

import json
import os
import shutil
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import requests

MARK = "harbour-pilot-of-b"
PATIENCE = 300.0
EXAMPLE = Path(__file__).parents[4] / "examples" / "curate"


class World:
    """A server with both tenants, and the ids that stand in either.

    `pool` holds what parts of an address may be filled with, by the parameter's name.
    """

    def __init__(self, qd: Path, folder: Path) -> None:
        self.env = os.environ | {"QD_CONFIG": str(folder / "contexts")}
        self.qd = qd
        self.log = (folder / "log").open("w+")
        self.data = folder / "data"
        self.data.mkdir()
        if shared := os.environ.get("QD_TEST_ENV"):
            (self.data / "env").symlink_to(shared)
        self.process: subprocess.Popen[str] | None = None
        self.pool: defaultdict[str, set[str]] = defaultdict(set)
        self.serve()
        try:
            self.owner = self.said("auth", "token")
            for tenant in ("a", "b"):
                self.fill(tenant)
            self.tokens = {role: self.member("a", role) for role in ("viewer", "PIPELINE_DEV")}
        except BaseException:
            self.stop()
            raise

    def serve(self) -> None:
        """Runs wait for good, so that none takes this machine."""
        self.process = subprocess.Popen(
            [self.qd, "serve", "--listen", "127.0.0.1:0", "--data", self.data, "--engine-limit", "xenna=0"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http"), self.last_words()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        if self.process:
            self.process.stdout.close()

    def last_words(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()[-4000:]

    def said(self, *words: str) -> str:
        return subprocess.run(
            [self.qd, *words], env=self.env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def ask(self, method: str, path: str, body: object = None, tenant: str | None = None) -> dict:
        headers = {"authorization": f"Bearer {self.owner}", "idempotency-key": f"{tenant}-{method}-{path}"}
        if tenant:
            headers["x-tenant-id"] = tenant
        reply = requests.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=PATIENCE)
        assert reply.ok, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else {}

    def fill(self, tenant: str) -> None:
        """One of everything that a tenant can have."""
        mark = MARK if tenant == "b" else "in-a"
        self.ask("POST", "/api/v1/tenants", {"name": tenant})

        def keep(parameter: str, thing: dict) -> dict:
            self.pool[parameter].add(thing["id"])
            return thing

        def ask(method: str, path: str, body: object = None) -> dict:
            return self.ask(method, f"/api/v1{path}", body, tenant)

        keep("name", ask("POST", "/projects", {"name": "second", "display_name": mark}))
        ask("PUT", "/secrets/store/key", {"value": mark})
        documents = [
            document("Connection", "hook", mark, {"type": "http", "address": f"http://127.0.0.1:9/{mark}"}),
            document("Schedule", "nightly", mark, schedule()),
        ]
        pipeline = self.data.parent / tenant
        shutil.copytree(EXAMPLE, pipeline)
        spec = pipeline / "pipeline.yaml"
        spec.write_text(spec.read_text().replace("Curate a licence corpus", mark))
        self.said("--tenant", tenant, "apply", "-f", str(spec), "--publish", "--message", mark)
        # The second time as drafts, beside what is published.
        applied = ask("POST", f"/apply?publish=true&message={mark}", {"documents": documents})
        self.ended(keep("id", applied["job"]), tenant)
        for draft in documents:
            draft["metadata"]["labels"] = {"of": f"{mark}-draft"}
        ask("POST", "/apply?publish=false", {"documents": documents})
        for plural in ("pipelines", "connections", "schedules"):
            for item in ask("GET", f"/{plural}")["items"]:
                keep("name", item)
                self.pool["object"].update((f"{plural}/{item['id']}", f"{plural}/{item['name']}"))
        started = ask("POST", "/pipelines/curate/runs", {})
        keep("id", started["run"])
        self.pool["object"].update((f"runs/{started['run']['id']}", f"jobs/{started['job']['id']}"))
        keep("id", started["job"])
        stopped = ask("POST", f"/runs/{started['run']['id']}/stop", {"reason": mark})
        keep("id", stopped["job"])
        keep("id", ask("POST", "/plans", {"operation": "publish", "kind": "Pipeline", "name": "curate"}))
        self.pool["name"].update(("curate", "hook", "nightly", "second", "default", tenant))
        self.pool["path"].update(("store/key", "out.jsonl"))
        self.pool["tenant"].add(tenant)

    def member(self, tenant: str, role: str) -> str:
        """A service account that holds the role in the tenant: its token."""
        name = f"{tenant}-{role.lower().replace('_', '-')}"
        self.ask("POST", "/api/v1/users", {"name": name, "service": True})
        self.ask("PUT", f"/api/v1/members/{name}/{role}", tenant=tenant)
        self.pool["name"].add(name)
        return self.ask("POST", f"/api/v1/users/{name}/tokens", {"label": "tests"})["token"]

    def ended(self, job: dict, tenant: str) -> None:
        until = time.monotonic() + PATIENCE
        while (now := self.ask("GET", f"/api/v1/jobs/{job['id']}", tenant=tenant))["state"] != "succeeded":
            assert now["state"] in ("queued", "running", "waiting"), json.dumps(now)
            assert time.monotonic() < until, json.dumps(now)
            time.sleep(0.05)


def schedule() -> dict:
    """One that never comes to fire here."""
    return {"target": {"kind": "Pipeline", "name": "curate"}, "action": "run", "cron": "0 3 29 2 *", "paused": True}


def document(kind: str, name: str, mark: str, spec: dict) -> dict:
    metadata = {"name": name, "display_name": mark, "description": mark, "labels": {"of": mark}}
    return {"apiVersion": "quarterdeck/v1", "kind": kind, "metadata": metadata, "spec": spec}

"""A run on a server of W&B, read by the real library from a server here that answers as W&B's."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wandb")

ROOT = Path(__file__).resolve().parents[2]
RUN = {
    "id": "UnVu", "name": "abc", "displayName": "wide owl", "projectId": "1", "state": "finished",
    "tags": ["night"], "notes": "a note", "config": json.dumps({"lr": {"value": 0.1}}),
    "summaryMetrics": json.dumps({"best": 0.5, "_step": 19}), "systemMetrics": "{}",
    "createdAt": "2026-01-05T10:00:00Z", "user": {"name": "x", "username": "x"},
    "historyKeys": {"lastStep": 19, "keys": {}},
}  # fmt: skip
ROWS = [{"_step": step, "_timestamp": 1.8e9 + step, "loss": 2 / (step + 1)} for step in range(20)]


class Answers(BaseHTTPRequestHandler):
    """GraphQL as far as a run is read; the rows are not in an exported file yet."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        query, variables = request["query"], request.get("variables") or {}
        data: dict[str, Any] = {"serverInfo": {"features": []}}
        if "parquetHistory" in query:
            history = {"parquetUrls": [], "liveData": [ROWS[0], ROWS[-1]]}
            data = {"project": {"run": {"parquetHistory": history}}}
        elif "history(" in query:
            first, last = variables["minStep"], variables["maxStep"]
            rows = [json.dumps(row) for row in ROWS if first <= row["_step"] < last]
            data = {"project": {"run": {"history": rows}}}
        elif "run(" in query:
            data = {"project": {"internalId": "1", "run": RUN}}
        elif "viewer" in query:
            teams = {"edges": []}
            data = {"viewer": {"id": "1", "entity": "team", "username": "x", "email": "",
                               "flags": "{}", "teams": teams}}  # fmt: skip
        body = json.dumps({"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def test_a_run_is_read_by_its_url(server: str, tmp_path: Path) -> None:
    env = {**os.environ, "HOME": str(tmp_path), "WANDB_CACHE_DIR": str(tmp_path / "cache"),
           "WANDB_API_KEY": "a" * 40, "PYTHONPATH": str(ROOT)}  # fmt: skip
    url = f"{server}/team/owls/runs/abc"
    argv = [sys.executable, "-m", "genui", "inspect", url, "--json"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["info"]["name"], told["tags"], told["note"]) == ("wide owl", ["night"], "a note")
    assert (told["state"], told["step"], told["metrics"]) == ("finished", 19, {"loss": 0.1})
    assert (told["info"]["config"], told["summary"]) == ({"lr": 0.1}, {"best": 0.5})

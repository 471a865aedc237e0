"""What monitoring reads, as Prometheus' own promtool understands it: the metrics of a program that served a request, the rules and
the dashboard that come with it. And the access log of the same requests."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from conftest import new_database, serving
from desk import ask, free_port
from states import DOCS, chat

EXAMPLES = DOCS / "examples"
TOKEN = "metrics-token-0123456789abcdef012345"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def promtool(*arguments: str, text: str | None = None) -> None:
    done = subprocess.run([os.environ["KEYDESK_PROMTOOL"], *arguments], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


def names(text: str) -> set[str]:
    return {re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bkeydesk_[a-z0-9_]*[a-z0-9]", text)}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def measured(request):
    """A program with metrics on a port of their own, and the metrics' address."""
    port = free_port()
    database_url = new_database() if request.param == "postgres" else None
    with serving(database_url=database_url, extra=("--metrics-listen", f"127.0.0.1:{port}")) as desk:
        yield desk, f"http://127.0.0.1:{port}/metrics"


def test_promtool_reads_the_metrics_and_finds_nothing_to_improve(measured):
    desk, url = measured
    key = desk.create_key("metrics")
    assert chat(desk, key).status == 200
    answer = ask(url)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4")
    promtool("check", "metrics", text=answer.body)
    found = re.search(r"^keydesk_admissions_total (\d+)$", answer.body, re.M)
    assert int(found[1]) >= 1
    assert key.secret[8:] not in answer.body and key.id not in answer.body and desk.org not in answer.body
    # There and nowhere else.
    assert ask(f"{desk.base}/metrics").status == 303
    assert ask(url.replace("/metrics", "/sign-in")).status == 404


def test_what_is_measured_moves(measured):
    """Jobs run, the database answers, and its size is known where it is a file."""
    desk, url = measured
    text = ask(url).body
    assert "\nkeydesk_database_up 1\n" in text
    assert re.search(r'^keydesk_job_runs_total\{outcome="ok",task="settlements"\} [1-9]', text, re.M), text
    size = re.search(r'^keydesk_sqlite_bytes\{file="database"\} (\d+)$', text, re.M)
    assert (size is None) == bool(desk.database_url)
    assert size is None or int(size[1]) == (desk.folder / "data" / "keydesk.sqlite").stat().st_size


def test_a_token_opens_the_metrics_where_the_program_listens():
    with serving(environment={"KEYDESK_METRICS_TOKEN": TOKEN}) as desk:
        assert ask(f"{desk.base}/metrics").status == 401
        assert ask(f"{desk.base}/metrics", "x" * 40).status == 401
        answer = ask(f"{desk.base}/metrics", TOKEN)
        assert answer.status == 200
        promtool("check", "metrics", text=answer.body)
        assert TOKEN not in desk.log()


def test_the_rules_are_rules_and_fire_when_they_should():
    promtool("check", "rules", str(EXAMPLES / "alerts.yaml"))
    promtool("test", "rules", str(Path(__file__).with_name("alerts_test.yaml")))


def test_the_dashboard_asks_questions_that_prometheus_understands(measured, tmp_path):
    _, url = measured
    panels = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(asked) > 20
    plain = [expr.replace("$__rate_interval", "5m").replace("$instance", ".*") for expr in asked]
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(plain)]
    file = tmp_path / "panels.json"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", str(file))
    # What is there only once a provider was asked, and what is there on SQLite alone.
    later = {name for name in names("\n".join(asked)) if name.startswith(("keydesk_upstream_", "keydesk_sqlite_"))}
    assert names("\n".join(asked)) - later <= names(ask(url).body)


def test_a_request_is_one_line_of_the_log(measured):
    desk, _ = measured
    key = desk.create_key("log")
    mark = desk.mark()
    trace = f"00-{TRACE}-00f067aa0ba902b7-01"
    answer = ask(f"{desk.base}/v1/models?key={key.secret}", headers={"traceparent": trace})
    assert answer.status == 200
    desk.mark()
    lines = [json.loads(line) for line in desk.log(mark).splitlines() if answer.headers["x-request-id"] in line]
    [line] = [line["fields"] for line in lines if line["fields"]["message"] == "answered"]
    assert line.pop("duration_ms") >= 0
    assert line == {
        "message": "answered",
        "request.id": answer.headers["x-request-id"],
        "trace_id": TRACE,
        "method": "GET",
        "route": "/v1/models",
        "status": 200,
        "bytes": len(answer.body.encode()),
        "address": "127.0.0.1",
        "peer": "127.0.0.1",
    }
    assert key.secret[8:] not in desk.log(mark)

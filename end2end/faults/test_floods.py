"""What anyone can send is linear, bounded and throttled."""

from __future__ import annotations

import time

from harness import quick


def timed(ask):
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


def test_an_address_with_8000_parameters_is_refused_at_once(start):
    server = start("sqlite")
    query = "&".join(f"p{n}=1" for n in range(8000))
    for path in ("/sign-in", f"/{server.org}/keys", "/healthz", "/v1/models"):
        answer, took = timed(lambda: quick(server.port, "GET", f"{path}?{query}", None, 10))
        assert answer.status in (400, 414, 431) and took < 0.5, (path, answer.status, took)


def test_a_form_with_thousands_of_fields_is_refused_at_once(start):
    server = start("sqlite")
    headers = {"origin": server.base, "content-type": "application/x-www-form-urlencoded"}
    forms = [
        "&".join(f"form[{n}]=1" for n in range(4500)),
        "&".join(["form[models][]=a"] * 3800),
        "form" + "[a]" * 15000 + "=1",
        "&".join(["form[email]=a"] * 4500),
        "form[email]=" + "a%20" * 15000,
    ]
    for body in forms:
        for accept in ("text/html", "application/json"):
            for action in ("/api/session/sign-in", "/api/session/setup"):
                answer, took = timed(lambda: quick(server.port, "POST", action, body.encode(), 10, accept=accept, **headers))
                assert answer.status in (400, 404, 422, 429) and took < 1.0, (body[:40], accept, answer.status, took)


def test_reports_of_browsers_are_counted_and_not_each_logged(start):
    server = start("sqlite")
    mark = server.mark()
    began = time.monotonic()
    for _ in range(300):
        assert quick(server.port, "POST", "/csp-report", b"{}", 5).status == 204
    lines = sum("a browser reports" in line for line in server.log(mark).splitlines())
    assert 1 <= lines <= time.monotonic() - began + 2, lines


def test_searches_of_one_person_are_throttled_and_other_pages_are_not(start):
    """301 searches within a minute: the rest is asked to wait, and says for how long."""
    server = start("sqlite")
    person, page = server.person, f"/{server.org}/keys"
    statuses = []
    began = time.monotonic()
    while 429 not in statuses and time.monotonic() - began < 40:
        statuses.append(person.get(f"{page}?q=name{len(statuses)}").status)
    assert statuses.count(200) >= 300 and statuses[-1] == 429, (len(statuses), statuses[-1])
    assert person.get(page).status == 200

"""A request that came too soon is asked again by the clients' own defaults, when the answer said so, and then passes."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_a_request_that_came_too_soon_is_asked_again_when_the_answer_said(retries, client):
    waited = retries.waited[client].result(timeout=150)
    assert waited.text
    # Once, or once more after the minute's last second.
    assert [status for _, _, status in waited.asked] in ([429, 200], [429, 429, 200])
    assert 1 <= waited.seconds <= 70, waited


def test_googles_client_passes_too_once_it_is_told_to_retry(retries):
    waited = retries.waited["gemini"].result(timeout=250)
    assert waited.text
    statuses = [status for _, _, status in waited.asked]
    assert statuses[-1] == 200 and set(statuses[:-1]) == {429}, waited

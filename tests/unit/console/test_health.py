"""What a supervisor asks."""

import json
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from gateway.models import ControlPlane, Node, Publication
from secrets_app.models import AuditEntry, Region
from tests import cast


def ask(path: str) -> tuple[int, dict[str, bool]]:
    answer = cast.client().get(path)
    assert answer["Content-Type"] == "application/json"
    return answer.status_code, json.loads(answer.content)


def test_the_process_answers_without_a_database() -> None:
    assert ask("/healthz") == (200, {"ok": True})


def test_ready_means_set_up_and_reachable(region: Region) -> None:
    assert ask("/readyz") == (200, {"ready": True, "database": True, "sealing": True})
    with patch("console.views.health.connection.ensure_connection", side_effect=OperationalError):
        assert ask("/readyz")[0] == 503


def test_before_it_is_set_up_it_is_not_ready(db: None) -> None:
    assert ask("/readyz")[0] == 503


def test_without_the_public_half_it_serves_and_says_that_it_cannot_seal(region: Region) -> None:
    public = settings.DATA_DIR / "kms" / "public.json"
    aside = public.rename(public.with_suffix(".aside"))
    try:
        assert ask("/readyz") == (200, {"ready": True, "database": True, "sealing": False})
    finally:
        aside.rename(public)


@pytest.fixture
def node(region: Region) -> Node:
    node, _token = Node.join(cast.instance(region), "local", "127.0.0.1", 8080, by=cast.SETUP)
    seq = AuditEntry.objects.latest("seq").seq
    Publication.objects.create(region=region, seq=seq, at=timezone.now())
    Node.objects.update(connected=True, in_effect_seq=seq)
    ControlPlane.beat(started=True)
    return node


@pytest.mark.usefixtures("node")
def test_the_gateway_is_ready_when_a_node_has_what_was_published() -> None:
    assert ask("/readyz?gateway=1") == (200, {"ready": True, "database": True, "sealing": True, "gateway": True})


@pytest.mark.usefixtures("node")
def test_the_gateway_is_not_ready_while_anything_of_that_is_missing() -> None:
    for model, wrong, right in (
        (Node, {"connected": False}, {"connected": True}),
        (Node, {"in_effect_seq": 0}, {"in_effect_seq": 100}),
        (Publication, {"seq": 1000}, {"seq": 1}),
        (ControlPlane, {"seen_at": timezone.now() - timedelta(minutes=1)}, {"seen_at": timezone.now()}),
    ):
        model.objects.update(**wrong)
        assert ask("/readyz?gateway=1")[0] == 503, wrong
        model.objects.update(**right)
        assert ask("/readyz?gateway=1")[0] == 200, wrong


def test_a_region_that_was_never_published_is_not_served(region: Region) -> None:
    Node.join(cast.instance(region), "local", "127.0.0.1", 8080, by=cast.SETUP)
    Node.objects.update(connected=True, in_effect_seq=5)
    ControlPlane.beat()
    assert ask("/readyz?gateway=1")[0] == 503

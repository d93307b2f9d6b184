"""Invitations: a link that works once, for whom it was made, while whoever made it may."""

import logging
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from secrets_app.access import OWNER
from secrets_app.models import AuditEntry, Invitation, Region, RoleGrant, User
from tests import cast
from tests.unit.console.asking import get, post, text

PASSWORDS = {"password": "three unrelated words", "again": "three unrelated words"}


def invite(username: str = "nina", **body: str) -> str:
    """The path of the link."""
    answer = post("/team/invitations/new/", {"username": username, "role": "viewer", "where": "everywhere"} | body, status=200)
    link = re.search(r"https?://testserver(/invited/[\w-]+/)", answer.content.decode())
    assert link
    return link[1]


def test_from_the_link_to_the_first_page(region: Region) -> None:
    link = invite(role="operator", where="region", region="local", note="Nina from Platform")
    entry = AuditEntry.objects.latest("seq")
    assert (entry.action, entry.actor, entry.target, entry.facts) == (
        "invitation.create",
        "alice",
        "nina",
        {"role": "operator", "scope": "region local"},
    )
    listed = text(get("/team/invitations/"))
    assert "Nina from Platform" in listed
    assert "Operator Local" in listed
    token = link.split("/")[2]
    assert token not in listed
    assert token not in "".join(map(str, Invitation.objects.values())) + "".join(map(str, AuditEntry.objects.values()))
    client = Client()
    page = text(client.get(link))  # type: ignore[arg-type]
    assert "Welcome, nina" in page
    assert "alice invited you to Latchkey as Operator" in page
    answer = client.post(link, PASSWORDS)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/local/").status_code == 200
    assert [entry.action for entry in AuditEntry.objects.order_by("-seq")[:2]] == ["user.sign_in", "invitation.accept"]
    accepted = AuditEntry.objects.get(action="invitation.accept")
    assert (accepted.actor, accepted.facts) == ("nina", {"role": "operator", "scope": "region local", "member": "alice"})
    assert cast.somebody("nina").as_actor().roles == {"operator"}
    assert client.post("/sign-out/").status_code == 302
    assert Client().post("/sign-in/", {"login": "nina", "password": PASSWORDS["password"]}).status_code == 302


def test_a_link_that_opens_nothing_does_not_tell_whether_it_ever_did(region: Region) -> None:
    used, revoked, expired, inviter_gone = (invite(name) for name in ("used", "revoked", "expired", "orphan"))
    Client().post(used, PASSWORDS)
    row = Invitation.objects.get(username="revoked")
    post(f"/team/invitations/{row.pk}/revoke/", {})
    Invitation.objects.filter(username="expired").update(expires_at=timezone.now() - timedelta(seconds=1))
    ada = cast.somebody("ada", OWNER)
    Invitation.objects.filter(username="orphan").update(invited_by=ada)
    ada.disable(by=cast.actor("alice"))
    answers = {
        Client().get(link).content for link in (used, revoked, expired, inviter_gone, "/invited/neverwas/", "/invited/" + "x" * 43 + "/")
    }
    assert len({re.sub(rb'X-CSRFToken": "\w+"', b"", answer) for answer in answers}) == 1
    assert Client().get(used).status_code == 404
    assert Client().post(expired, PASSWORDS).status_code == 404
    assert not User.objects.filter(username__in=["revoked", "expired", "orphan"]).exists()
    assert AuditEntry.objects.filter(action="invitation.accept", outcome="refused", actor="unknown").exists()


def test_what_the_inviter_may_not_give_any_more_is_not_given(region: Region) -> None:
    ada = cast.somebody("ada", OWNER)
    cast.person("alice")
    link = invite()
    Invitation.objects.update(invited_by=ada)
    RoleGrant.objects.get(user=ada).revoke(cast.everywhere(), by=cast.actor("alice"))
    answer = Client().post(link, PASSWORDS)
    assert answer.status_code == 409
    assert "ada, who invited you, may not give this role any more." in text(answer)  # type: ignore[arg-type]
    assert not User.objects.filter(username="nina").exists()


def test_a_bad_password_is_said_and_not_repeated(region: Region) -> None:
    link = invite()
    for password, again in (("short", "short"), ("nina-nina-nina", "nina-nina-nina"), ("three unrelated words", "others")):
        answer = Client().post(link, {"password": password, "again": again})
        assert answer.status_code == 422
        assert f'value="{password}"' not in answer.content.decode()
    assert Client().get(link).status_code == 200


def test_no_log_names_a_link(region: Region, caplog: pytest.LogCaptureFixture) -> None:
    link = invite()
    for path in (link, f"{link}.", f"{link[:-1]}),/"):
        assert Client().post(path, {"password": "short", "again": "short"}).status_code in (404, 422)
    # Django tells the address of whatever it refuses.
    (ours,) = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    told = [ours.format(record) for record in caplog.records if ours.filter(record)]
    assert link.split("/")[2] not in "".join(told)
    assert sum("/invited/..." in line for line in told) == 3


def test_a_name_taken_meanwhile_is_said(region: Region) -> None:
    link = invite()
    cast.somebody("NINA")
    answer = Client().post(link, PASSWORDS)
    assert answer.status_code == 422
    assert "exists" in text(answer)  # type: ignore[arg-type]


def test_whoever_is_signed_in_signs_out_first(region: Region) -> None:
    link = invite()
    assert "You are kim here. An invitation is for somebody new" in text(get(link, "kim"))
    post(link, PASSWORDS, "kim", status=200)
    assert Invitation.objects.filter(username="nina").exists()


@pytest.mark.parametrize("name", ["", " nina", "alice", "ALICE", "a b", "<b>"])
def test_a_wrong_name_is_refused_at_its_field(region: Region, name: str) -> None:
    post("/team/invitations/new/", {"username": name, "role": "viewer", "where": "everywhere"}, status=422)
    assert not Invitation.objects.exists()


def test_problems_are_told_in_the_order_of_the_page(region: Region) -> None:
    page = text(post("/team/invitations/new/", {"username": "", "where": "everywhere"}, status=422))
    assert page.index("Enter a username.") < page.index("Choose a role.") < page.index("Username")


def test_owners_of_all_regions_alone_invite(region: Region) -> None:
    rita = Client()
    rita.force_login(cast.somebody("rita", OWNER, at=region.scope))
    assert rita.get("/team/invitations/new/").status_code == 403
    assert "Invitations" not in rita.get("/team/").content.decode().split('class="tabs"')[1].split("</nav>")[0]

"""Setting a deployment up: once, and never over what is there."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from secrets_app import setup
from secrets_app.errors import CannotSeal
from secrets_app.kms import builtin
from secrets_app.models import AuditEntry, Deployment, KmsInstance, MasterKey, Region, User
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def data_folder(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def test_prepare_makes_keyring_deployment_master_key_and_region(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prepare")
    out = capsys.readouterr().out
    assert "Back kms/ up" in out
    assert "Region local made" in out
    assert {file.name for file in (data_folder / "kms").iterdir()} >= {"public.json", "private.json", "fingerprint.key"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in (data_folder / "kms").iterdir())
    assert (Deployment.objects.count(), KmsInstance.objects.count(), MasterKey.objects.count()) == (1, 1, 1)
    assert [entry.action for entry in AuditEntry.objects.order_by("seq")] == ["deployment.create", "region.create"]
    cast.key(Region.objects.get())


def test_preparing_again_changes_nothing(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("prepare")
    before = {file.name: file.read_bytes() for file in (data_folder / "kms").iterdir()}
    call_command("prepare")
    assert {file.name: file.read_bytes() for file in (data_folder / "kms").iterdir()} == before
    assert AuditEntry.objects.count() == 2
    assert "The keyring is the one this database knows." in capsys.readouterr().out


def test_a_lost_keyring_is_said_and_not_replaced(data_folder: Path) -> None:
    call_command("prepare")
    shutil.rmtree(data_folder / "kms")
    with pytest.raises(CommandError, match=r"public\.json"):
        call_command("prepare")
    assert not (data_folder / "kms" / "private.json").exists()


def test_another_deployments_keyring_is_refused(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    setup.prepare(cast.SETUP)
    settings.DATA_DIR = tmp_path_factory.mktemp("another")
    builtin.create_keyring(settings.DATA_DIR / "kms")
    with pytest.raises(CannotSeal):
        setup.prepare(cast.SETUP)


def test_the_first_administrator_is_the_first_person_and_an_owner() -> None:
    user = setup.first_administrator("admin", cast.PASSWORD, cast.SETUP)
    assert user is not None
    assert user.as_actor().roles == {"owner"}
    assert setup.first_administrator("admin2", cast.PASSWORD, cast.SETUP) is None
    assert User.objects.count() == 1


def test_the_first_region_is_made_when_there_is_none_at_all() -> None:
    region, made = setup.first_region(cast.SETUP)
    assert (region.name, region.title, made) == ("local", "Local", True)
    assert setup.first_region(cast.SETUP) == (region, False)

"""Setting a deployment up, once: keyring, deployment row, the built-in KMS instance with its master key, the first region."""

from django.utils.translation import gettext as _

from secrets_app import keyring
from secrets_app.actor import Actor
from secrets_app.errors import CannotOpen, CannotSeal
from secrets_app.kms import builtin, signing
from secrets_app.models import Deployment, KmsInstance, MasterKey, Region, User, deed


def prepare(by: Actor) -> bool:
    """Idempotent. True when this call set the deployment up. Raises CannotSeal when the keyring is not the one the database knows."""
    if (deployment := Deployment.objects.first()) is not None:
        builtin.compare_public(keyring.folder(), deployment.check_values)
        if (keyring.folder() / builtin.PRIVATE).exists():
            signing.create_pair(keyring.folder())
        return False
    builtin.create_keyring(keyring.folder())
    signing.create_pair(keyring.folder())
    with deed(by, "deployment.create") as entry:
        entry.target = Deployment.objects.create(check_values=builtin.check_values(keyring.folder()))
        kms = KmsInstance.objects.create(name="Built-in", uri=keyring.BUILTIN)
        MasterKey.objects.create(kms_instance=kms, name="Default", kek_id=keyring.wrapper(keyring.BUILTIN).kek_id)
        entry.facts = {"kms_instance": "Built-in", "master_key": "Default"}
    return True


def prepare_or_tell(by: Actor) -> list[str]:
    """prepare(), with a keyring that is missing or another's put into words instead of ending the start."""
    troubles = []
    try:
        prepare(by)
    except CannotSeal as refused:
        troubles.append(_("No new value can be stored: %(why)s") % {"why": refused.message})
    try:
        keyring.unwrapper(Deployment.here().check_values)
    except CannotOpen as refused:
        troubles.append(_("No gateway can be served: %(why)s") % {"why": refused.message})
    return troubles


def can_serve() -> bool:
    try:
        keyring.unwrapper(Deployment.here().check_values)
    except CannotOpen:
        return False
    return True


def first_region(by: Actor) -> tuple[Region, bool]:
    """The default region, made when there is none at all."""
    if region := Region.objects.order_by("created_at").first():
        return region, False
    return Region.create("local", "Local", by=by), True


def first_administrator(username: str, password: str, by: Actor) -> User | None:
    """The first person, an owner. None when there is somebody already."""
    return None if User.objects.exists() else User.create(username, password, {"owner"}, by=by)

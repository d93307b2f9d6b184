"""Second factors: an authenticator app, security keys and passkeys, and recovery codes for when neither is at hand.

The rows and the mathematics are allauth's; who may change what, and that it is in the audit log, stands here.
"""

import json
import struct
import unicodedata
from datetime import UTC, datetime
from uuid import UUID

from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from allauth.mfa.webauthn.internal import auth as webauthn
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from fido2.webauthn import AuthenticationResponse

from secrets_app import sign_in_key
from secrets_app.actor import Actor
from secrets_app.db import locked
from secrets_app.errors import CannotOpen, Conflict, Invalid, NotFound
from secrets_app.models import User, deed

TOTP, KEY, RECOVERY = "totp", "webauthn", "recovery_codes"
FEW = 3  # recovery codes left, of which one is warned
OFFERED_FOR = 15 * 60  # seconds in which a new seed has to be confirmed
# What a made-up answer breaks at.
_NOT_WEBAUTHN = (ValueError, TypeError, LookupError, AttributeError, struct.error, ValidationError, RecursionError)


class SealedSeeds(DefaultMFAAdapter):  # type: ignore[misc]
    """What the database keeps of a seed opens with the sign-in key alone."""

    def encrypt(self, text: str) -> str:
        return sign_in_key.encrypt(text, "factor")

    def decrypt(self, encrypted_text: str) -> str:
        return sign_in_key.decrypt(encrypted_text, "factor")

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        entity: dict[str, str] = super().get_public_key_credential_rp_entity()
        return entity | {"name": "Latchkey"}


def of(user: User) -> "QuerySet[Authenticator]":
    """The factors that a person has, recovery codes apart."""
    rows: QuerySet[Authenticator] = Authenticator.objects.filter(user=user)
    return rows.exclude(type=RECOVERY).order_by("created_at", "pk")


def find(user: User, pk: int) -> Authenticator:
    """Raises NotFound, also for another person's."""
    if (factor := of(user).filter(pk=pk).first()) is None:
        raise NotFound()
    return factor


def name_of(factor: Authenticator) -> str:
    return str(factor.data.get("name") or (_("Authenticator app") if factor.type == TOTP else _("Security key")))


def recovery_codes_left(user: User) -> int | None:
    """None where there are none to use up."""
    row = _recovery(user)
    return None if row is None else app_settings.RECOVERY_CODE_COUNT - int(row.data["used_mask"]).bit_count()


# Showing one


def fits(user: User, code: str, *, by: Actor) -> str:
    """By which factor this code lets its person in: "totp", "recovery_codes", or "" for none. A code that fits is used up."""
    typed = "".join(letter for letter in unicodedata.normalize("NFKC", code) if letter.isalnum())
    if _fits_app(user, typed):
        return TOTP
    return RECOVERY if _use_recovery_code(user, typed, by) else ""


def _fits_app(user: User, code: str) -> bool:
    """One statement notes the use, so that of two who show the same code at once one gets in. No code before the last one used counts
    either (RFC 6238, 5.2)."""
    row = Authenticator.objects.filter(user=user, type=TOTP).first()
    if row is None or (counter := _counter(totp_seed(row), code)) is None:
        return False
    moment = _moment(counter)
    unused = Authenticator.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=moment), pk=row.pk)
    return bool(unused.update(last_used_at=moment))


def totp_seed(row: Authenticator) -> str:
    return sign_in_key.decrypt(row.data["secret"], "factor")


def _counter(seed: str, code: str) -> int | None:
    """The 30 seconds that this is the code of, of those that a clock may be off by."""
    fitting = [
        counter
        for counter in totp.yield_hotp_counters_from_time()
        if totp.compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(seed, counter)))
    ]
    return fitting[0] if fitting else None


def _moment(counter: int) -> datetime:
    return datetime.fromtimestamp(counter * app_settings.TOTP_PERIOD, UTC)


def _use_recovery_code(user: User, code: str, by: Actor) -> bool:
    row = _recovery(user)
    if row is None or not any(totp.compare_user_code(actual=code, expected=one) for one in RecoveryCodes(row).get_unused_codes()):
        return False
    with deed(by, "user.use_recovery_code", user) as entry:
        if not RecoveryCodes(row).validate_code(code):
            raise Conflict(_("This recovery code was used a moment ago. Use another one."))
        row.record_usage()
        entry.facts = {"left": recovery_codes_left(user)}
    return True


def ask_key(user: User) -> str:
    """What a browser hands to a security key of this person, as JSON; nothing where there is none. The session keeps the challenge."""
    there = of(user).filter(type=KEY).exists()
    return json.dumps(webauthn.begin_authentication(user)) if there else ""


def answered(user: User, answer: str) -> str:
    """ "webauthn" when a security key of this person answered the challenge of this session, which is used up by that, or ""."""
    try:
        credential = json.loads(answer)
        row = webauthn.complete_authentication(user, credential)
        count = AuthenticationResponse.from_dict(credential).response.authenticator_data.counter
    except _NOT_WEBAUTHN:
        return ""
    finally:
        webauthn.clear_state()
    if count and count <= row.data.get("count", 0):
        return ""  # counts that do not grow are those of a copy (WebAuthn, 6.1.1)
    row.data["count"] = count
    row.last_used_at = datetime.now(UTC)
    row.save(update_fields=["data", "last_used_at"])
    return KEY


# Changing them


def offer_app(user: User) -> tuple[str, str]:
    """A new seed, and what carries it to the post that confirms it: nothing is kept meanwhile."""
    seed = totp.generate_totp_secret()
    return seed, sign_in_key.encrypt(seed, f"offer to {user.pk}")


def offered(user: User, token: str) -> str:
    """The seed of an offer. Raises CannotOpen when it is not this person's, or too old."""
    return sign_in_key.decrypt(token, f"offer to {user.pk}", within=OFFERED_FOR)


def offered_still(user: User, token: str) -> str:
    """The seed of an offer that is still good, or nothing."""
    try:
        return offered(user, token)
    except CannotOpen:
        return ""


def address_of_seed(user: User, seed: str) -> str:
    """What an app reads from the picture (otpauth:)."""
    return str(SealedSeeds().build_totp_url(user, seed))


def add_app(user: User, token: str, code: str, *, by: Actor) -> list[str]:
    """The recovery codes that came with the first factor, or none. Raises Invalid (fields code, offer)."""
    try:
        seed = offered(user, token)
    except CannotOpen:
        raise Invalid(
            {"code": [_("This took too long. Take the new code that the page shows now, and enter what the app says.")]}
        ) from None
    if (counter := _counter(seed, "".join(code.split()))) is None:
        raise Invalid({"code": [_("This is not the code that the app shows now. Check the clock of the phone, and enter the next one.")]})
    with deed(by, "user.add_factor", user) as entry:
        _lock(user)
        if of(user).filter(type=TOTP).exists():
            raise Conflict(_("There is an authenticator app already. Remove it first, then add the new one."))
        data = {"secret": sign_in_key.encrypt(seed, "factor"), "name": _("Authenticator app")}
        Authenticator.objects.create(user=user, type=TOTP, data=data, last_used_at=_moment(counter))
        entry.facts = {"factor": TOTP}
        return _gained(user)


def offer_key(user: User) -> str:
    """What a browser has to hand to a new security key, as JSON. The session keeps the challenge."""
    return json.dumps(webauthn.begin_registration(user, passwordless=False))


def add_key(user: User, name: str, answer: str, *, by: Actor) -> list[str]:
    """The recovery codes that came with the first factor, or none. Raises Invalid (field answer)."""
    try:
        credential = json.loads(answer)
        made = webauthn.parse_registration_response(credential)
        bound = webauthn.complete_registration(credential)
        known = made.response.attestation_object.auth_data.credential_data
    except _NOT_WEBAUTHN:
        raise Invalid({"answer": [_("The security key could not be added: its answer does not fit what was asked. Try again.")]}) from None
    finally:
        webauthn.clear_state()
    with deed(by, "user.add_factor", user) as entry:
        _lock(user)
        if known is None or webauthn.get_authenticator_by_credential_id(user, known.credential_id):
            raise Conflict(_("This security key is one of yours already."))
        data = {"name": name, "credential": credential, "count": bound.counter}
        Authenticator.objects.create(user=user, type=KEY, data=data)
        entry.facts = {"factor": KEY, "name": name}
        return _gained(user)


def rename(factor: Authenticator, name: str, *, by: Actor) -> None:
    with deed(by, "user.rename_factor", factor.user) as entry:
        factor.data["name"] = name
        factor.save(update_fields=["data"])
        entry.facts = {"factor": factor.type, "name": name}


def remove(factor: Authenticator, *, by: Actor) -> None:
    """With the last one go the recovery codes."""
    user = factor.user
    with deed(by, "user.remove_factor", user) as entry:
        _lock(user)
        factor.delete()
        if not of(user).exists():
            if user.needs_second_factor:
                raise Conflict(_("A role of yours needs a second factor. Add another one first, then remove this one."))
            _lost_all(user)
        entry.facts = {"factor": factor.type, "name": name_of(factor)}


def remove_all(user: User, *, by: Actor) -> int:
    """For somebody who lost them all: how many there were. The person is asked for the password alone until there is a new one."""
    with deed(by, "user.remove_factor", user) as entry:
        _lock(user)
        count, _each = of(user).delete()
        _lost_all(user)
        entry.facts = {"count": count}
    return count


def make_recovery_codes(user: User, *, by: Actor, once: UUID | None = None) -> list[str]:
    """New ones; those before them open nothing any more. Raises AlreadyDone."""
    with deed(by, "user.make_recovery_codes", user, once=once) as entry:
        _lock(user)
        if not of(user).exists():
            raise Conflict(_("Recovery codes stand in for a second factor. Add one first."))
        Authenticator.objects.filter(user=user, type=RECOVERY).delete()
        codes = _new_codes(user)
        entry.facts = {"count": len(codes)}
    return codes


def _gained(user: User) -> list[str]:
    User.objects.filter(pk=user.pk).update(has_second_factor=True)
    user.has_second_factor = True
    return [] if _recovery(user) else _new_codes(user)


def _lost_all(user: User) -> None:
    Authenticator.objects.filter(user=user).delete()
    User.objects.filter(pk=user.pk).update(has_second_factor=False)
    user.has_second_factor = False


def _new_codes(user: User) -> list[str]:
    codes: list[str] = RecoveryCodes.activate(user).generate_codes()
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def _recovery(user: User) -> Authenticator | None:
    return Authenticator.objects.filter(user=user, type=RECOVERY).first()


def _lock(user: User) -> None:
    """Of two changes to one person's factors the second sees what the first did."""
    locked(User.objects.filter(pk=user.pk)).get()

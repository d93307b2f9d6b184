"""What a supervisor or a load balancer asks. The answers name no noun and no version: anybody may read them."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from console.middleware import public
from gateway.delivery import some_node_serves
from secrets_app import keyring
from secrets_app.errors import CannotSeal
from secrets_app.models import Deployment


@public
def healthz(request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"ok": True})


@public
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether it can work: {"ready", "database", "sealing"}, and with ?gateway=1 "gateway". 503 while it cannot.

    "sealing" is told but does not decide: without the public half of the keyring the console still serves.
    """
    database = _database_answers()
    found = {"database": database, "sealing": _can_seal()}
    ready = database
    if database and "gateway" in request.GET:
        found["gateway"] = ready = some_node_serves()
    return JsonResponse({"ready": ready, **found}, status=200 if ready else 503)


def _database_answers() -> bool:
    """And is migrated and set up."""
    try:
        connection.ensure_connection()
        return Deployment.objects.exists()
    except DatabaseError:
        return False


def _can_seal() -> bool:
    try:
        keyring.wrapper(keyring.BUILTIN)
    except CannotSeal:
        return False
    return True

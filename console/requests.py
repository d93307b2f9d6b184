from django.http import HttpRequest, QueryDict
from django_htmx.middleware import HtmxDetails

from secrets_app.actor import Actor
from secrets_app.models import Region, User


class ConsoleRequest(HttpRequest):
    """What a view receives from the door: a person who may be here, and the region of the address where it has one."""

    user: User
    actor: Actor
    region: Region
    request_id: str
    htmx: HtmxDetails


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: also an empty post is a post."""
    return request.POST if request.method == "POST" else None

from urllib.parse import urlsplit

from django.http import HttpRequest, QueryDict
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

from secrets_app.actor import Actor
from secrets_app.models import Region, User
from secrets_app.scope import Scope


class ConsoleRequest(HttpRequest):
    """What a view receives from the door: a person who may be here, the region of the address where it has one, and where it lies."""

    user: User
    actor: Actor
    region: Region
    scope: Scope
    request_id: str
    htmx: HtmxDetails


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: also an empty post is a post."""
    return request.POST if request.method == "POST" else None


def page_in_front(request: HttpRequest) -> str:
    """The page of ours that the person looks at while this is asked, as the browser says; or home."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL") or request.headers.get("Referer") or "/")
    except ValueError:
        return "/"
    same = page.netloc in ("", request.get_host()) and page.path.startswith("/") and not page.path.startswith("//")
    return (page.path + (f"?{page.query}" if page.query else "")) if same else "/"


def path_of_ours(to: str) -> str:
    """A path of this console, whatever an address or a form asks for. It becomes a header, so it is one line of text."""
    fit = to.startswith("/") and to.isprintable()
    return to if fit and url_has_allowed_host_and_scheme(to, allowed_hosts=None) else "/"

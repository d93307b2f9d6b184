from django.http import HttpRequest, HttpResponse

from console.middleware import public
from console.stylesheet import compressed, joined, version

_FOR_EVER = "public, max-age=31536000, immutable"


@public
def stylesheet(request: HttpRequest) -> HttpResponse:
    """Kept for ever when asked for by version (the address changes with the content), else asked again each time."""
    zipped = "gzip" in request.headers.get("Accept-Encoding", "")
    response = HttpResponse(compressed() if zipped else joined(), content_type="text/css; charset=utf-8")
    response["Cache-Control"] = _FOR_EVER if request.GET.get("v") == version() else "no-cache"
    response["Vary"] = "Accept-Encoding"
    if zipped:
        response["Content-Encoding"] = "gzip"
    return response

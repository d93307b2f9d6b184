"""Content types that Django fails on while it makes its request: before any middleware, where a failure is the server's bare 500."""

from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from console.wsgi import application
from secrets_app.models import Region


def status(content_type: str, path: str = "/healthz", method: str = "GET", body: bytes = b"") -> str:
    environ: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "QUERY_STRING": "q=%C3%A9&\xc3\xa9=1",
        "HTTP_HOST": "testserver",
    }
    environ |= {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}
    setup_testing_defaults(environ)
    told: list[str] = []
    b"".join(application(environ, lambda status, headers: told.append(status)))
    return told[0]


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_charset_that_is_none_is_refused_like_any_request_that_cannot_be_read(region: Region, kind: str) -> None:
    for charset in ("rot13", "zlib", "idna", "undefined", "utf-16", "latin-1", "nonsense", "é"):
        assert status(f"{kind}; charset={charset}") == "400 Bad Request", charset
        assert status(f"{kind}; charset={charset}", "/sign-in/", "POST", b"login=a") == "400 Bad Request", charset
    for parameter in ("boundary*=nonsense''x", "charset*=nonsense''utf-8", "charset*=rot13''x"):
        assert status(f"{kind}; {parameter}") == "400 Bad Request", parameter
    for charset in ("utf-8", "UTF-8", '"utf-8"', ""):
        assert status(f"{kind}; charset={charset}") == "200 OK", charset

"""Content types that Django fails on while it makes its request: before any middleware, where a failure is the server's bare 500."""

from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.conf import settings

from console.wsgi import application
from secrets_app.models import Region


def status(content_type: str, path: str = "/healthz", method: str = "GET", body: bytes = b"") -> str:
    environ: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "QUERY_STRING": "q=%C3%A9&\xc3\xa9=1",
        "HTTP_HOST": "testserver",
        "HTTP_COOKIE": f"{settings.CSRF_COOKIE_NAME}={'a' * 32}",  # with it a form is read before any view is asked
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
    assert status("text/plain; x*=a''b; x*1=c") == "400 Bad Request"  # Python 3.11 cannot sort these two
    for charset in ("utf-8", "UTF-8", '"utf-8"', ""):
        assert status(f"{kind}; charset={charset}") == "200 OK", charset


def test_parts_that_cannot_be_told_apart_are_refused(region: Region) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name*=a''b; name*1=c\r\n\r\ny\r\n--x--\r\n"
    assert status("multipart/form-data; boundary=x", "/sign-in/", "POST", body) == "400 Bad Request"


def test_behind_tls_every_link_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for secure, scheme in ((False, "http"), (True, "https")):
        monkeypatch.setattr(settings, "SECURE", secure)
        environ: dict[str, Any] = {"HTTP_HOST": "testserver", "PATH_INFO": "/healthz"}
        setup_testing_defaults(environ)
        b"".join(application(environ, lambda *_: None))
        assert environ["wsgi.url_scheme"] == scheme

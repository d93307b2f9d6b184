"""A small OpenID Connect provider for tests: a real server that signs real tokens, checks the code, the client and the PKCE verifier, and
asks nobody for a password. `lies` makes it say something else than it should."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "latchkey-tests", "a secret that the provider knows"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    port: int
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "preferred_username": "paula", "groups": ["keys"]})
    lies: dict[str, Any] = field(default_factory=dict)  # claims to overwrite; None takes one away
    algorithm: str = "RS256"
    redirects: bool = False  # answers everything with a redirect
    described: dict[str, Any] = field(default_factory=dict)  # of the discovery document, to overwrite
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=new_key)
    published: rsa.RSAPrivateKey | None = None  # another than it signs with

    @property
    def issuer(self) -> str:
        return f"http://localhost:{self.port}"

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "scopes_supported": ["openid", "profile", "groups"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        } | self.described

    def keys(self) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk((self.published or self.key).public_key(), as_dict=True)
        return {"keys": [public | {"kid": "one", "use": "sig", "alg": "RS256"}]}

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next: whoever it is has signed in."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked | {"at": str(time.time())}
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        begun = self.codes.pop(form.get("code", ""), None)
        expected = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if begun is None or authorization != expected or begun["code_challenge"] != challenge:
            return None
        if begun["redirect_uri"] != form.get("redirect_uri") or begun["code_challenge_method"] != "S256":
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "auth_time": now, "nonce": begun["nonce"], **self.person}
        claims = {name: value for name, value in (claims | self.lies).items() if value is not None}
        key: Any = {"none": None, "HS256": "a secret that is long enough for this"}.get(self.algorithm, self.key)
        signed = jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": "one"})
        return {"access_token": "unused", "token_type": "Bearer", "id_token": signed}


@contextmanager
def serving() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path)
            if self._sent_away():
                return
            if path.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize({name: value[0] for name, value in parse_qs(path.query).items()}))
                self.end_headers()
                return
            self._say({"/.well-known/openid-configuration": provider.discovery, "/keys": provider.keys}.get(path.path, dict)())

        def do_POST(self) -> None:
            form = {name: value[0] for name, value in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
            if not self._sent_away():
                self._say(provider.token(form, self.headers.get("Authorization", "")))

        def _sent_away(self) -> bool:
            provider.asked.append(urlsplit(self.path).path)
            if provider.redirects:
                self.send_response(302)
                self.send_header("Location", f"{provider.issuer}/elsewhere")
                self.end_headers()
            return provider.redirects

        def _say(self, what: dict[str, Any] | None) -> None:
            content = json.dumps(what if what is not None else {"error": "invalid_grant"}).encode()
            self.send_response(200 if what is not None else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = Provider(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

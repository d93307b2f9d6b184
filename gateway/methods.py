"""How callers show who they are: a consumer does it in one way, and a service asks for one."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

API_KEY, JWT = "api_key", "jwt"

METHODS: dict[str, Promise] = {API_KEY: _("API Key"), JWT: _("JWT")}

# Whose signature a token has to bear.
SYMMETRIC, ASYMMETRIC, REMOTE = "symmetric", "asymmetric", "remote"

KEY_TYPES: dict[str, Promise] = {SYMMETRIC: _("Symmetric"), ASYMMETRIC: _("Asymmetric"), REMOTE: _("Remote JWKS URL")}

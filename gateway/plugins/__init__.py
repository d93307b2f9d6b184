"""The catalogue of official plugins. Adding one is one module, one line here, one test."""

from gateway.plugins import basic_auth, cors, ext_auth, ip_restriction, jwt_auth, key_auth, rate_limit, transformer
from gateway.plugins.base import Official

_MODULES = (key_auth, basic_auth, jwt_auth, ip_restriction, cors, rate_limit, transformer, ext_auth)

CATALOGUE: dict[str, Official] = {module.PLUGIN.name: module.PLUGIN for module in _MODULES}

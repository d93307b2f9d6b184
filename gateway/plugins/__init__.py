"""The catalogue of plugins: every module in `official/`. Adding one is one module and one test."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from gateway.plugins import official
from gateway.plugins.base import Official


def _modules() -> Iterator[Official]:
    for found in iter_modules(official.__path__):
        yield import_module(f"{official.__name__}.{found.name}").PLUGIN


CATALOGUE: dict[str, Official] = {plugin.name: plugin for plugin in _modules()}

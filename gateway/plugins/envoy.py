"""Filters that several mappings are made of, in Envoy's JSON form."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.names import METADATA, PRIVATE_HEADER
from gateway.plugins.base import SecretName
from gateway.sources import Source

_ADS = {"ads": {}, "initial_fetch_timeout": "1s", "resource_api_version": "V3"}


def typed(message: str, **fields: Any) -> dict[str, Any]:
    """A message of Envoy's HTTP filters by its name there: "cors.v3.CorsPolicy"."""
    return {"@type": f"type.googleapis.com/envoy.extensions.filters.http.{message}", **fields}


def noting(**facts: str) -> dict[str, Any]:
    """Notes facts about the request for filters that come later and for the gateway's own answers."""
    return typed("set_metadata.v3.Config", metadata=[{"metadata_namespace": METADATA, "value": facts, "allow_overwrite": True}])


def removing(headers: Iterable[str]) -> dict[str, Any]:
    return typed("header_mutation.v3.HeaderMutation", mutations={"request_mutations": [{"remove": name} for name in headers]})


def injecting(number: int, secret: SecretName) -> dict[str, Any]:
    """Puts a secret into a private header, for the script behind it. Without a value it answers the request itself."""
    generic = {
        "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
        "credential": {"name": secret, "sds_config": _ADS},
        "header": private(number),
    }
    credential = {"name": "envoy.http.injected_credentials.generic", "typed_config": generic}
    return typed("credential_injector.v3.CredentialInjector", overwrite=True, credential=credential)


def private(number: int) -> str:
    return f"{PRIVATE_HEADER}{number}"


def script(source: str, context: Mapping[str, Any], machine: str) -> dict[str, Any]:
    """Lua that reads `context` by handle:filterContext(). It stands in dumps.

    Scripts of one `machine` and one text share an interpreter, which also outlives a change of routes: without that each
    route had one of its own, 0.3 MB and 1 ms, made anew at every change. The protobufs at hand do not know its field yet.
    """
    value = {"default_source_code": {"inline_string": source}, "filter_context": context, "shared_vm_id": machine}
    name = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    return {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": name, "value": value | {"clear_route_cache": False}}


def key_sources(sources: Iterable[Source]) -> list[dict[str, str]]:
    return [{"query" if source.kind == "query" else "header": source.name} for source in sources]

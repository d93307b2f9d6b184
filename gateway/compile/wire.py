"""Shapes that every resource is made of."""

from typing import Any as Message

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption, RuntimeFractionalPercent
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration

from gateway.address import Address
from gateway.inventory import Service


def packed(message: Message) -> Any:
    """Same message, same bytes: maps are written in the order of their keys."""
    body = Any()
    body.Pack(message, deterministic=True)
    return body


def over_ads() -> ConfigSource:
    """After one second without an answer Envoy goes on without the resource and fails closed; its default, 15 s, delays every start."""
    return ConfigSource(ads=AggregatedConfigSource(), initial_fetch_timeout=seconds(1), resource_api_version=ApiVersion.V3)


def seconds(number: float) -> Duration:
    return Duration(seconds=int(number), nanos=round(number % 1 * 1e9))


def authority(service: Service | Address) -> str:
    """As its back end expects to be called: with the port unless that is the scheme's own."""
    standard = service.port == {"http": 80, "https": 443}[service.scheme]
    return bracketed(service.host) if standard else f"{bracketed(service.host)}:{service.port}"


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def literal_header(name: str, value: str, action: int) -> HeaderValueOption:
    """`%` begins a command in Envoy's header values, so a literal one is doubled."""
    return HeaderValueOption(header=HeaderValue(key=name, value=value.replace("%", "%%")), append_action=action)


def always() -> RuntimeFractionalPercent:
    return RuntimeFractionalPercent(default_value=FractionalPercent(numerator=100))

"""A rule's way from the deed that wrote it to the routes of its gateways."""

from typing import Any

import pytest
from django.utils import timezone
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from gateway import stocktaking
from gateway.attention import Attention
from gateway.compile import Compiled, Memo, compile_region
from gateway.compile.chains import filters_of
from gateway.models import Instance, Problem
from gateway.names import ENTRY_PLUGINS, LAST_PLUGINS, ROUTES
from gateway.snapshot import Snapshot
from gateway.type_urls import ROUTE, SECRET
from gateway.xds.publisher import _version_ids
from secrets_app.resolver import Resolver
from tests import cast


@pytest.fixture
def instance(region: Any) -> Instance:
    made = cast.instance(region, "east")
    cast.service(made, "chat")
    return made


def compiled(instance: Instance) -> Compiled:
    stock = stocktaking.load(instance.region_id)
    made = compile_region(stock, Resolver().resolve(_version_ids(stock)), Memo())[instance.pk]
    Snapshot.of(made.resources, b"key").check()
    return made


def route(instance: Instance) -> Route:
    table = RouteConfiguration.FromString(compiled(instance).resources[ROUTE][ROUTES].value)
    return next(route for route in table.virtual_hosts[0].routes if route.name == "ai/chat")


def accepted(instance: Instance) -> set[str]:
    config = route(instance).typed_per_filter_config
    lists = [one.typed_config for one in filters_of(config[ENTRY_PLUGINS])] if ENTRY_PLUGINS in config else []
    return {credential.key for one in lists if one.Is(ApiKeyAuth.DESCRIPTOR) for credential in ApiKeyAuth.FromString(one.value).credentials}


def test_what_a_rule_refers_to_is_accepted_through_a_rotation_and_until_it_is_disabled(instance: Instance) -> None:
    key = cast.key(instance.region, "Secret_Name", "first-value-0123456789")
    rule = cast.rule(cast.plugin(instance), "credentials: ['$ref{secret_name}']\nkeys: [apikey]\n")
    assert accepted(instance) == {"first-value-0123456789"}
    key.refresh_from_db()
    key.rotate(cast.value("second-value-0123456789"), 24, by=cast.SETUP)
    assert accepted(instance) == {"first-value-0123456789", "second-value-0123456789"}
    rule.refresh_from_db()
    rule.disable(by=cast.SETUP)
    assert ENTRY_PLUGINS not in route(instance).typed_per_filter_config


def test_a_custom_plugin_gets_what_it_sends(instance: Instance) -> None:
    key = cast.key(instance.region, "t", "sent-value-0123456789")
    cast.custom_plugin(instance.region, "signer")
    cast.rule(cast.plugin(instance, "signer"), "token: $ref{t}\n")
    assert [one.name.split("/")[0] for one in filters_of(route(instance).typed_per_filter_config[LAST_PLUGINS])] == [
        "take",
        "signer",
        "signer",
    ]
    secret = Secret.FromString(compiled(instance).resources[SECRET][f"{key.pk}/"].value)
    assert secret.generic_secret.secret.inline_bytes == b"sent-value-0123456789"


def test_what_cannot_be_served_is_shown_at_the_rule_that_has_it(instance: Instance) -> None:
    """The place that compiling tells is the one that the reference stands at."""
    key = cast.key(instance.region, "t")
    cast.rule(cast.plugin(instance), f"consumers: [{{name: a, credentials: ['$ref{{{key.name}}}']}}]\nkeys: [apikey]\n")
    made = compile_region(stocktaking.load(instance.region_id), {}, Memo())[instance.pk]
    Problem.rewrite(instance.region_id, {(one.holder_kind, one.holder_id, one.path, one.reason) for one in made.problems})
    (shown,) = (one for one in Attention.of(instance.region, cast.SETUP).unserved if one.holder.kind == "plugin")
    assert (shown.key, shown.holder.path, shown.reason) == (key.audit_name, "consumers[0].credentials[0]", "unreadable")
    assert shown.since <= timezone.now()

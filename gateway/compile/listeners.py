"""The door of a node: one listener, whose routes and credentials arrive apart from it, so that neither ever drains it."""

from collections.abc import Mapping
from typing import Any as Message

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ExtensionFilter
from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation as Mutation
from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.core.v3.config_source_pb2 import ExtensionConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from envoy.extensions.filters.http.api_key_auth.v3.api_key_auth_pb2 import ApiKeyAuth
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as HeaderToMetadata
from envoy.extensions.filters.http.jwt_authn.v3.config_pb2 import JwtAuthentication
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    LocalReplyConfig,
    Rds,
    ResponseMapper,
)
from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import HeaderMutation as EarlyMutation
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.struct_pb2 import Struct
from google.protobuf.wrappers_pb2 import BoolValue

from gateway.compile.chains import chain_filter, cors_filter, rate_limit_filter
from gateway.compile.parameters import cutting_filter
from gateway.compile.wire import over_ads, packed, seconds
from gateway.names import (
    ENTRY_PLUGINS,
    FIRST_PLUGINS,
    IDENTITY_HEADER,
    JWT_AUTH,
    JWT_CHECK,
    KEY_AUTH,
    LAST_PLUGINS,
    LISTENER,
    METADATA,
    NAME_HEADER,
    ROUTES,
)
from gateway.plugins.official.rate_limit import REJECTED

# Claims that only we make. Taken from a request before anything looks at it.
_OURS = ("x-latchkey-", "x-envoy-", "x-forwarded-")

# What the gateway answers itself: Envoy's name for the case, the code and the words for the caller. Without words, the answer's own
# stay. The first case that fits is taken. Behind a caller's name that a plugin noted, a refusal is about that caller.
_NOTED = f"metadata.filter_metadata['{METADATA}']"
_MISSING, _UNKNOWN = "response.code_details == 'missing_api_key'", "response.code_details in ['unknown_api_key', 'unkonwn_api_key']"
_OTHER_TOKEN = f"{_NOTED}['asks'] == 'token'"
_BASIC = f"{_NOTED}['asks'] == 'basic'"
_TOKEN, _NO_TOKEN = "response.code_details.startsWith('jwt_authn_access_denied')", "response.code_details.endsWith('Jwt_is_missing}')"
_DIRECT = "response.code_details == 'direct_response' && response.code == "
_ANSWERS = (
    (f"{_MISSING} && {_BASIC}", "missing_credentials", "No user name and password were given."),
    (f"{_UNKNOWN} && {_BASIC}", "invalid_credentials", "This user name and password are not accepted here."),
    (_MISSING, "missing_api_key", "No API key was given. Send the key that you were given for this gateway."),
    (_UNKNOWN, "invalid_api_key", "This API key is not accepted here."),
    ("response.code_details == 'client_not_allowed'", "not_authorized", "This API key is valid, but not for this service."),
    ("response.code_details == 'failed_to_inject_credential'", "no_provider_key", "The gateway has no usable key for this service."),
    (f"{_TOKEN} && {_NO_TOKEN}", "invalid_token", ""),
    (_TOKEN, "invalid_token", ""),
    (f"response.code_details.startsWith('rbac_') && {_OTHER_TOKEN}", "not_authorized", "This token is valid, but not for this service."),
    (f"response.code_details.startsWith('rbac_') && {_NOTED}['name'] != ''", "not_authorized", "You may not call this service."),
    ("response.code_details.startsWith('rbac_')", "address_not_allowed", "This service may not be called from your address."),
    ("response.code_details == 'ext_authz_error'", "authorization_failed", "The service that decides about this request cannot be asked."),
    (_DIRECT + "403", "not_authorized", ""),
    (_DIRECT + "404", "unknown_service", ""),
    (_DIRECT + "405", "method_not_allowed", ""),
    (_DIRECT + "503", "plugin_unavailable", ""),
    (_DIRECT + "508", "loop_detected", ""),
)
_TOO_MANY = "Too many requests. Try again later."

# Answers of plugins that are whole as they are: they say themselves what kind of text they hold.
_WHOLE = "response.code_details in ['lua_response', 'ext_authz_denied'] && response.headers['content-type'] != ''"

# %PATH(NQ)%: a path without its query, because a query may hold a key. No header of the request is written.
_LINE = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "consumer": f"%DYNAMIC_METADATA({METADATA}:consumer)%",
    "caller": f"%DYNAMIC_METADATA({METADATA}:caller)%",  # whom a plugin let in
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "backend": "%UPSTREAM_HOST%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "from": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}


def listener(host: str, port: int, access_log: str = "/dev/stdout") -> Listener:
    """`access_log` is a path as the node sees it; it runs in its own folder."""
    manager = HttpConnectionManager(
        stat_prefix="gateway",
        rds=Rds(route_config_name=ROUTES, config_source=over_ads()),
        http_filters=[
            cors_filter(),
            chain_filter(FIRST_PLUGINS),
            rate_limit_filter(),
            chain_filter(ENTRY_PLUGINS),
            _key_auth(),
            _token_auth(),
            chain_filter(JWT_CHECK),
            _identity_to_log(),
            cutting_filter(),
            chain_filter(LAST_PLUGINS),
            _router(),
        ],
        access_log=[AccessLog(name="envoy.access_loggers.file", typed_config=packed(_access_log(access_log)))],
        local_reply_config=_answers(),
        early_header_mutation_extensions=[_strip_claims()],
        # Trap: without all three, "/ai/x/../.." and "..%2f" leave the service's path with the provider's key attached.
        normalize_path=BoolValue(value=True),
        merge_slashes=True,
        path_with_escaped_slashes_action=HttpConnectionManager.REJECT_REQUEST,
        use_remote_address=BoolValue(value=True),
        skip_xff_append=True,
        internal_address_config=HttpConnectionManager.InternalAddressConfig(),  # nobody: x-envoy-* is taken from no one
        server_header_transformation=HttpConnectionManager.PASS_THROUGH,
        request_headers_timeout=seconds(30),
        stream_idle_timeout=seconds(600),
    )
    return Listener(
        name=LISTENER,
        address=Address(socket_address=SocketAddress(address=host, port_value=port)),
        filter_chains=[FilterChain(filters=[Filter(name="http", typed_config=packed(manager))])],
        # With it a second gateway would share the port in silence, and half of the calls would meet old rules.
        enable_reuse_port=BoolValue(value=False),
    )


def _key_auth() -> HttpFilter:
    """While its configuration is missing, every request is answered 500."""
    source = ExtensionConfigSource(config_source=over_ads(), type_urls=[f"type.googleapis.com/{ApiKeyAuth.DESCRIPTOR.full_name}"])
    return HttpFilter(name=KEY_AUTH, config_discovery=source)


def _token_auth() -> HttpFilter:
    """Runs on routes that ask for a token, and on no other. While its configuration is missing, those are answered 500."""
    source = ExtensionConfigSource(config_source=over_ads(), type_urls=[f"type.googleapis.com/{JwtAuthentication.DESCRIPTOR.full_name}"])
    return HttpFilter(name=JWT_AUTH, config_discovery=source, disabled=True)


def _identity_to_log() -> HttpFilter:
    """Who called is for the access log alone: it is taken off the request before anything is sent on."""
    note = HeaderToMetadata.KeyValuePair(metadata_namespace=METADATA, key="consumer", type=HeaderToMetadata.STRING)
    rule = HeaderToMetadata.Rule(header=IDENTITY_HEADER, on_header_present=note, remove=True)
    return _filter("envoy.filters.http.header_to_metadata", HeaderToMetadata(request_rules=[rule]))


def _router() -> HttpFilter:
    return _filter("envoy.filters.http.router", Router(suppress_envoy_headers=True))


def _strip_claims() -> TypedExtensionConfig:
    claims = [StringMatcher(exact=NAME_HEADER), *(StringMatcher(prefix=prefix) for prefix in _OURS)]
    mutations = [Mutation(remove_on_match=Mutation.RemoveOnMatch(key_matcher=claim)) for claim in claims]
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation", typed_config=packed(EarlyMutation(mutations=mutations))
    )


def _access_log(path: str) -> FileAccessLog:
    return FileAccessLog(path=path, log_format=SubstitutionFormatString(json_format=_struct(_LINE), omit_empty_values=True))


def _answers() -> LocalReplyConfig:
    """The last one is for all others. It is no default of the whole, because that would hold for the first one too."""
    mappers = [ResponseMapper(filter=_when(_WHOLE)), *map(_too_many, reversed(REJECTED)), *(_answer(*answer) for answer in _ANSWERS)]
    return LocalReplyConfig(mappers=[*mappers, _answer("true", "%RESPONSE_CODE_DETAILS%", "")])


def _answer(condition: str, code: str, text: str) -> ResponseMapper:
    mapper = ResponseMapper(filter=_when(condition), body_format_override=_error(code))
    if text:
        mapper.body.inline_string = text
    if asked := _challenge(condition):
        told = HeaderValue(key="www-authenticate", value=asked)
        mapper.headers_to_add.append(HeaderValueOption(header=told, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD))
    return mapper


def _challenge(condition: str) -> str:
    """What a caller has to bring (RFC 9110, 11.6.1), as the plugin that asks for it noted; without one there is no such header.

    Of a token we say it ourselves (RFC 6750, 3): Envoy would name the address that was called, with its query and the token there.
    """
    if condition.startswith((_MISSING, _UNKNOWN)):
        return f"%DYNAMIC_METADATA({METADATA}:challenge)%"
    if not condition.startswith(_TOKEN):
        return ""
    return 'Bearer realm="gateway"' + ("" if condition.endswith(_NO_TOKEN) else ', error="invalid_token"')


def _too_many(status: int) -> ResponseMapper:
    """The filter knows one status for all routes; a rule that wants another notes it."""
    noted = "" if status == REJECTED[0] else f" && {_NOTED}['rejected'] == '{status}'"
    mapper = _answer(f"response.code_details == 'local_rate_limited'{noted}", "rate_limited", _TOO_MANY)
    mapper.status_code.value = status
    return mapper


def _when(condition: str) -> AccessLogFilter:
    expression = packed(ExpressionFilter(expression=condition))
    return AccessLogFilter(extension_filter=ExtensionFilter(name="envoy.access_loggers.extension_filters.cel", typed_config=expression))


def _error(code: str) -> SubstitutionFormatString:
    """As the SDKs of providers expect an error to look."""
    error = {"message": "%LOCAL_REPLY_BODY%", "type": "gateway_error", "code": code}
    return SubstitutionFormatString(json_format=_struct({"error": error}), content_type="application/json")


def _filter(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=packed(config))


def _struct(fields: Mapping[str, object]) -> Struct:
    struct = Struct()
    struct.update(fields)
    return struct

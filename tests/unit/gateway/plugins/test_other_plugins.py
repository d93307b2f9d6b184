"""ip-restriction, cors, rate-limit, transformer, ext-auth: what each takes, and what it says of the rest."""

import pytest

from tests.unit.gateway.plugins.texts import SERVICE, only_fault, passes

TRANSFORM = "reqRules:\n- operate: {operate}\n  headers:\n  - {item}\n"


def transform(operate: str, **item: str) -> str:
    return TRANSFORM.format(operate=operate, item="\n    ".join(f"{name}: {value}" for name, value in item.items()))


def question(address: str = "https://auth.example.com", more: str = "") -> str:
    return f"http_service:\n  endpoint:\n    address: {address}\n{more}"


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        ("ip-restriction", "allow:\n- 10.0.0.7\n- 10.0.0.0/8\n- ::1\n- FD00::/8"),
        ("ip-restriction", "deny:\n- 0.0.0.0/0"),
        ("cors", "allow_origins: ['*']"),
        ("cors", "allow_origins: ['null', 'http://localhost:3000', 'chrome-extension://abc']\nallow_credentials: true"),
        ("cors", "allow_origin_patterns: ['https://*.example.com', '*']"),
        ("rate-limit", "global_threshold:\n  query_per_day: 1"),
        ("rate-limit", "limit_by_header: x-team\nlimit_keys:\n- key: a\n  query_per_second: 5\nrejected_code: 503"),
        ("transformer", transform("remove", key="x-a")),
        ("transformer", transform("rename", oldKey="x-a", newKey="x-b")),
        ("transformer", transform("replace", key="x-a", newValue="b")),
        ("transformer", transform("add", key="authorization", value="Bearer $ref{a}")),
        ("transformer", transform("append", key="x-a", appendValue="$ref{a}:$ref{b}")),
        ("transformer", transform("map", fromKey="x-a", toKey="x-b")),
        ("transformer", transform("add", key="api_key", value="$ref{a}").replace("headers", "querys")),
        ("transformer", transform("add", key="x-a", value="b").replace("reqRules", "respRules")),
        ("ext-auth", question()),
        ("ext-auth", question(more="  authorization_request:\n    headers_to_add:\n      x-token: $ref{a}\n      x-plain: b")),
    ],
)
def test_what_they_take(plugin: str, text: str) -> None:
    assert passes(plugin, text)
    assert passes(plugin, text, SERVICE)


@pytest.mark.parametrize(
    ("plugin", "text", "path", "message"),
    [
        ("ip-restriction", "allow: [10.0.0.1]\ndeny: [10.0.0.2]", "", "either"),
        ("ip-restriction", "allow: []", "allow", "at least 1"),
        ("ip-restriction", "allow: [localhost]", "allow[0]", "not an IP address"),
        ("ip-restriction", "allow: [10.0.0.0/33]", "allow[0]", "not an IP address"),
        ("ip-restriction", "allow: [10.0.0.7/8]", "allow[0]", "begins at 10.0.0.0"),
        ("ip-restriction", "allow: ['fd00::7/8']", "allow[0]", "begins at fd00::"),
        ("ip-restriction", "allow: [127.1]", "allow[0]", "must be text"),
        ("ip-restriction", "allow: ['127.1']", "allow[0]", "not an IP address"),
        ("ip-restriction", "allow:\n- $ref{a}", "allow[0]", "no credential"),
        ("cors", "max_age: 1", "", "at least one origin"),
        ("cors", "allow_origins: [example.com]", "allow_origins[0]", "scheme, a host"),
        ("cors", "allow_origins: ['https://a.example.com/']", "allow_origins[0]", "scheme, a host"),
        ("cors", "allow_origins: ['https://u:p@a.example.com']", "allow_origins[0]", "scheme, a host"),
        ("cors", "allow_origins: ['https://a.example.com:99999']", "allow_origins[0]", "scheme, a host"),
        ("cors", "allow_origins: ['*']\nallow_credentials: true", "allow_credentials", "any web page"),
        ("cors", "allow_origins: ['*']\nallow_methods: ['GET, POST']", "allow_methods[0]", "may hold only"),
        ("cors", "allow_origin_patterns: ['(a+)+$']", "allow_origin_patterns[0]", "may hold only"),
        ("cors", "allow_origins: ['*']\nmax_age: 24h", "max_age", "whole number"),
        ("rate-limit", "rejected_code: 429", "", "global_threshold"),
        ("rate-limit", "global_threshold: {}", "global_threshold", "exactly one of"),
        ("rate-limit", "global_threshold: {query_per_day: 1, query_per_hour: 1}", "global_threshold", "exactly one of"),
        ("rate-limit", "global_threshold: {query_per_day: 0}", "global_threshold.query_per_day", "at least 1"),
        ("rate-limit", "global_threshold: {query_per_day: 1.5}", "global_threshold.query_per_day", "whole number"),
        ("rate-limit", "global_threshold: {query_per_day: true}", "global_threshold.query_per_day", "whole number"),
        ("rate-limit", "limit_by_header: x-a", "", "belong together"),
        ("rate-limit", "limit_by_header: x-a\nglobal_threshold: {query_per_day: 1}", "", "belong together"),
        (
            "rate-limit",
            "limit_by_header: x-a\nlimit_keys: [{key: a, query_per_day: 1}, {key: a, query_per_day: 1}]",
            "limit_keys[1].key",
            "twice",
        ),
        ("rate-limit", "limit_by_header: cookie\nlimit_keys: [{key: a, query_per_day: 1}]", "limit_by_header", "Choose another"),
        ("rate-limit", "limit_by_header: x-a\nlimit_keys:\n- key: $ref{a}\n  query_per_day: 1", "limit_keys[0].key", "readable"),
        ("rate-limit", "global_threshold: {query_per_day: 1}\nrejected_code: 200", "rejected_code", "must be"),
        ("transformer", "reqRules: []", "reqRules", "at least 1"),
        ("transformer", "reqRules:\n- operate: add", "reqRules[0]", "“headers” or “querys”"),
        ("transformer", "reqRules:\n- operate: dedupe\n  headers: [{key: a}]", "reqRules[0].operate", "must be one of"),
        ("transformer", transform("add", key="x-a"), "reqRules[0].headers[0]", "“add” takes the fields key, value"),
        ("transformer", transform("remove", key="x-a", value="b"), "reqRules[0].headers[0]", "“remove” takes"),
        ("transformer", transform("add", key="host", value="b"), "reqRules[0].headers[0].key", "belongs to the connection"),
        ("transformer", transform("add", key="':path'", value="b"), "reqRules[0].headers[0].key", "header name"),
        ("transformer", transform("rename", oldKey="x-a", newKey="x-envoy-b"), "reqRules[0].headers[0].newKey", "belongs to"),
        ("transformer", transform("add", key="x-a", value='"a\\nb"'), "reqRules[0].headers[0].value", "no line break"),
        ("transformer", transform("add", key="x-a", value='"a\\n$ref{b}"'), "reqRules[0].headers[0].value", "no line break"),
        ("transformer", transform("add", key="$ref{a}", value="b"), "reqRules[0].headers[0].key", "no credential"),
        ("transformer", transform("add", key="a b", value="b").replace("headers", "querys"), "reqRules[0].querys[0].key", "parameter"),
        (
            "transformer",
            transform("add", key="x-a", value="$ref{a}").replace("reqRules", "respRules"),
            "respRules[0].headers[0].value",
            "handed to them",
        ),
        (
            "transformer",
            transform("remove", key="x").replace("reqRules", "respRules").replace("headers", "querys"),
            "respRules[0].querys",
            "no such",
        ),
        ("ext-auth", "status_on_error: 403", "", "“http_service” is missing"),
        ("ext-auth", "http_service:\n  timeout: 5", "http_service", "“endpoint” is missing"),
        ("ext-auth", question(address="$ref{a}"), "http_service.endpoint.address", "no credential"),
        (
            "ext-auth",
            question(more="  authorization_request:\n    headers_to_add:\n      host: a"),
            "http_service.authorization_request.headers_to_add.host",
            "cannot be used",
        ),
        (
            "ext-auth",
            question(more="  authorization_request:\n    headers_to_add:\n      'x y': $ref{a}"),
            'http_service.authorization_request.headers_to_add["x y"]',
            "header name",
        ),
        (
            "ext-auth",
            question(more="  authorization_response:\n    allowed_upstream_headers: [content-length]"),
            "http_service.authorization_response.allowed_upstream_headers[0]",
            "cannot be used",
        ),
    ],
)
def test_what_they_do_not_take(plugin: str, text: str, path: str, message: str) -> None:
    found = only_fault(plugin, text)
    assert found[0] == path
    assert message in found[1]

"""Where a caller may put its credential."""

import pytest

from gateway.sources import BEARER, Source, check_source, check_sources, in_words


def test_sources_read_as_people_know_them() -> None:
    assert [str(BEARER), str(Source("header", "x-api-key")), str(Source("query", "api_key"))] == [
        "Authorization: Bearer",
        "header x-api-key",
        "query parameter api_key",
    ]


@pytest.mark.parametrize("source", [BEARER, Source("header", "x-api-key"), Source("header", "apikey"), Source("query", "Api_Key.1~")])
def test_the_documented_places_are_taken(source: Source) -> None:
    assert check_source(source) == {}


@pytest.mark.parametrize(
    "source",
    [
        Source("header", ""),
        Source("header", "X-Api-Key"),  # names are kept in lower case; the form folds them
        Source("header", "x api"),
        Source("header", "x-api:"),
        Source("header", "x-api\r\nx-other"),
        *(Source("header", f"x-{character}") for character in "`$!'*&|\"\\"),  # of those a shell makes something
        Source("header", "schlüssel"),
        Source("header", "x" * 65),
        Source("header", "authorization"),
        Source("header", "cookie"),
        Source("header", "host"),
        Source("header", "x-forwarded-for"),
        Source("header", "x-envoy-upstream-rq-timeout-ms"),
        Source("header", "x-latchkey-consumer"),
        Source("header", ":path"),
        Source("query", ""),
        Source("query", "api key"),
        Source("query", "a&b"),
        Source("query", "a=b"),
        Source("query", "ключ"),
        Source("query", "a" * 65),
        Source("query", "a\n"),
    ],
)
def test_a_name_that_means_something_else_is_refused_by_field(source: Source) -> None:
    assert list(check_source(source)) == ["source_name"]


@pytest.mark.parametrize(
    "name",
    [
        "accept", "accept-encoding", "accept-language", "anthropic-beta", "anthropic-version", "baggage", "cache-control", "cdn-loop",
        "content-digest", "content-encoding", "content-length", "content-type", "date", "expect", "forwarded", "from", "idempotency-key",
        "if-none-match", "keep-alive", "max-forwards", "openai-beta", "openai-organization", "openai-project", "origin", "pragma",
        "priority", "proxy-connection", "range", "referer", "sec-fetch-mode", "traceparent", "tracestate", "trailer", "user-agent", "via",
        "x-client-request-id", "x-goog-api-client", "x-goog-user-project", "x-request-id", "x-stainless-retry-count",
    ],
)  # fmt: skip
def test_a_header_that_requests_have_anyway_holds_no_key(name: str) -> None:
    """Every caller of the region would be measured by it, and none of its services would get it any more."""
    assert "for other things" in check_source(Source("header", name))["source_name"][0]


@pytest.mark.parametrize("name", ["alt", "api-version", "Alt", "API-Version"])
def test_a_parameter_that_suppliers_read_holds_no_key(name: str) -> None:
    assert "for other things" in check_source(Source("query", name))["source_name"][0]


@pytest.mark.parametrize(
    "name", ["x-api-key", "apikey", "api-key", "x-goog-api-key", "x-content-key", "token", "x-auth-token", "accessing"]
)
def test_a_header_for_keys_stays_one(name: str) -> None:
    assert check_source(Source("header", name)) == {}


@pytest.mark.parametrize("source", [Source("cookie", "a"), Source("", ""), Source("bearer", "x-api-key")])
def test_another_kind_is_refused(source: Source) -> None:
    assert list(check_source(source)) == ["source_kind"]


HEADERS = tuple(Source("header", name) for name in ("x-api-key", "api-key", "x-key", "x-more"))


def test_several_sources_read_as_one_sentence() -> None:
    assert in_words([BEARER]) == "Authorization: Bearer"
    assert in_words([*HEADERS[:2], BEARER]) == "header x-api-key, header api-key or Authorization: Bearer"


@pytest.mark.parametrize("sources", [(BEARER,), HEADERS[:3], (*HEADERS[:2], BEARER), (Source("query", "key"),)])
def test_up_to_three_headers_or_one_parameter(sources: tuple[Source, ...]) -> None:
    assert check_sources(sources) == {}


@pytest.mark.parametrize(
    ("sources", "fields"),
    [
        ((), ["source_kind"]),
        (HEADERS, ["source_kind"]),
        ((*HEADERS[:3], BEARER), ["source_kind"]),
        ((Source("query", "a"), Source("query", "b")), ["source_kind"]),
        ((HEADERS[0], Source("query", "b")), ["source_kind"]),
        ((HEADERS[0], HEADERS[0]), ["source_1"]),
        ((HEADERS[0], Source("header", "host"), Source("header", "")), ["source_1", "source_2"]),
        ((Source("cookie", "a"),), ["source_kind"]),
    ],
)
def test_what_cannot_stand_together_is_refused_by_field(sources: tuple[Source, ...], fields: list[str]) -> None:
    assert list(check_sources(sources)) == fields

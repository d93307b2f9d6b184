"""The rules of the xDS protocol, one test each, and a client that does whatever the protocol allows it."""

from collections.abc import Iterable

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.any_pb2 import Any
from google.rpc.status_pb2 import Status
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.snapshot import Snapshot
from gateway.type_urls import CLUSTER, EXTENSION, LISTENER, ORDER, ROUTE, SECRET
from gateway.xds.stream import Stream


def snapshot(**kinds: dict[str, str]) -> Snapshot:
    """snapshot(cluster={"a": "1"}): a resource's content is all that counts."""
    urls = {"secret": SECRET, "cluster": CLUSTER, "extension": EXTENSION, "listener": LISTENER, "route": ROUTE}
    bodies = {
        urls[kind]: {name: Any(type_url=urls[kind], value=f"{name}={text}".encode()) for name, text in named.items()}
        for kind, named in kinds.items()
    }
    return Snapshot.of(bodies, b"key")


def ask(kind: str, *names: str, leave: Iterable[str] = (), have: dict[str, str] | None = None, nonce: str = "") -> DeltaDiscoveryRequest:
    return DeltaDiscoveryRequest(
        type_url=kind,
        resource_names_subscribe=names,
        resource_names_unsubscribe=leave,
        initial_resource_versions=have or {},
        response_nonce=nonce,
    )


def ack(response: DeltaDiscoveryResponse) -> DeltaDiscoveryRequest:
    return ask(response.type_url, nonce=response.nonce)


def nack(response: DeltaDiscoveryResponse, text: str = "no") -> DeltaDiscoveryRequest:
    request = ack(response)
    request.error_detail.CopyFrom(Status(code=13, message=text))
    return request


def said(responses: Iterable[DeltaDiscoveryResponse]) -> list[tuple[str, dict[str, str], list[str]]]:
    """Kind, content by name, names removed."""
    return [
        (
            response.type_url.rpartition(".")[2],
            {found.name: found.resource.value.decode().partition("=")[2] for found in response.resources},
            sorted(response.removed_resources),
        )
        for response in responses
    ]


@pytest.fixture
def stream() -> Stream:
    return Stream()


def settle(stream: Stream, shot: Snapshot) -> list[DeltaDiscoveryResponse]:
    """Acknowledges until there is nothing left to say."""
    everything = []
    while responses := stream.due(shot):
        everything += responses
        for response in responses:
            assert stream.receive(ack(response)) is None
    return everything


# --- What is subscribed to


def test_a_first_request_without_names_means_everything(stream: Stream) -> None:
    stream.receive(ask(CLUSTER))
    assert said(stream.due(snapshot(cluster={"a": "1", "b": "2"}))) == [("Cluster", {"a": "1", "b": "2"}, [])]


def test_a_star_means_everything(stream: Stream) -> None:
    stream.receive(ask(CLUSTER, "*"))
    assert said(stream.due(snapshot(cluster={"a": "1"}))) == [("Cluster", {"a": "1"}, [])]


def test_after_naming_something_an_empty_request_no_longer_means_everything(stream: Stream) -> None:
    shot = snapshot(cluster={"a": "1", "b": "1"})
    stream.receive(ask(CLUSTER, "a"))
    settle(stream, shot)
    stream.receive(ask(CLUSTER, leave=["a"]))
    stream.receive(ask(CLUSTER))
    assert stream.due(shot) == []


def test_a_name_beside_everything_changes_nothing_until_everything_is_left(stream: Stream) -> None:
    stream.receive(ask(CLUSTER))
    settle(stream, snapshot(cluster={"a": "1", "b": "1"}))
    stream.receive(ask(CLUSTER, "a"))
    settle(stream, snapshot(cluster={"a": "1", "b": "1"}))
    stream.receive(ask(CLUSTER, leave=["*"]))
    assert said(stream.due(snapshot(cluster={"a": "2", "b": "2"}))) == [("Cluster", {"a": "2"}, [])]


def test_everything_is_sent_again_to_whoever_left_it_and_returns(stream: Stream) -> None:
    shot = snapshot(cluster={"a": "1", "b": "1"})
    stream.receive(ask(CLUSTER, "*", "a"))
    settle(stream, shot)
    stream.receive(ask(CLUSTER, leave=["*"]))
    stream.receive(ask(CLUSTER, "*"))
    assert said(settle(stream, shot)) == [("Cluster", {"b": "1"}, [])]


@pytest.mark.parametrize("kind", [SECRET, EXTENSION, ROUTE])
def test_everything_can_be_asked_of_clusters_and_listeners_only(stream: Stream, kind: str) -> None:
    shot = snapshot(secret={"a": "1"}, extension={"a": "1"}, route={"a": "1"})
    stream.receive(ask(kind))
    stream.receive(ask(kind, "*"))
    assert stream.due(shot) == []


def test_a_wildcard_is_answered_even_if_there_is_nothing(stream: Stream) -> None:
    stream.receive(ask(CLUSTER))
    assert said(settle(stream, snapshot())) == [("Cluster", {}, [])]


def test_a_resource_that_is_asked_for_again_is_sent_again(stream: Stream) -> None:
    shot = snapshot(route={"a": "1"})
    stream.receive(ask(ROUTE, "a"))
    settle(stream, shot)
    stream.receive(ask(ROUTE, "a"))
    assert said(stream.due(shot)) == [("RouteConfiguration", {"a": "1"}, [])]


def test_what_is_no_longer_subscribed_to_is_not_sent(stream: Stream) -> None:
    stream.receive(ask(ROUTE, "a", "b"))
    settle(stream, snapshot(route={"a": "1", "b": "1"}))
    stream.receive(ask(ROUTE, leave=["a"]))
    assert said(stream.due(snapshot(route={"a": "2", "b": "2"}))) == [("RouteConfiguration", {"b": "2"}, [])]


def test_leaving_something_never_subscribed_to_is_ignored(stream: Stream) -> None:
    stream.receive(ask(ROUTE, "a"))
    settle(stream, snapshot(route={"a": "1"}))
    stream.receive(ask(ROUTE, leave=["phantom"]))
    assert stream.due(snapshot(route={"a": "1"})) == []


def test_under_a_wildcard_whoever_leaves_a_name_is_told_whether_it_stays(stream: Stream) -> None:
    shot = snapshot(cluster={"a": "1"})
    stream.receive(ask(CLUSTER, "*", "a", "gone"))
    settle(stream, shot)
    stream.receive(ask(CLUSTER, leave=["a", "gone"]))
    assert said(stream.due(shot)) == [("Cluster", {"a": "1"}, ["gone"])]


def test_a_resource_that_does_not_exist_is_said_so_once_and_sent_when_it_comes(stream: Stream) -> None:
    stream.receive(ask(ROUTE, "a"))
    assert said(settle(stream, snapshot())) == [("RouteConfiguration", {}, ["a"])]
    assert stream.due(snapshot(route={"b": "1"})) == []
    assert said(stream.due(snapshot(route={"a": "1"}))) == [("RouteConfiguration", {"a": "1"}, [])]


def test_kinds_that_do_not_exist_here_are_left_unanswered(stream: Stream) -> None:
    assert stream.receive(ask("type.googleapis.com/envoy.service.runtime.v3.Runtime", "a")) is None
    assert stream.due(snapshot()) == []


# --- What is sent


def test_only_what_changed_is_sent(stream: Stream) -> None:
    stream.receive(ask(SECRET, "a", "b"))
    settle(stream, snapshot(secret={"a": "1", "b": "1"}))
    assert said(stream.due(snapshot(secret={"a": "1", "b": "2"}))) == [("Secret", {"b": "2"}, [])]
    assert stream.due(snapshot(secret={"a": "1", "b": "2"})) == []


def test_a_client_that_comes_back_is_sent_only_what_it_missed(stream: Stream) -> None:
    old, new = snapshot(cluster={"same": "1", "old": "1", "gone": "1"}), snapshot(cluster={"same": "1", "old": "2", "new": "1"})
    stream.receive(ask(CLUSTER, have={name: resource.version for name, resource in old[CLUSTER].items()}))
    assert said(settle(stream, new)) == [("Cluster", {"new": "1", "old": "2"}, []), ("Cluster", {}, ["gone"])]


def test_a_client_that_comes_back_with_names_is_sent_only_what_it_missed(stream: Stream) -> None:
    shot = snapshot(secret={"a": "1", "b": "1"})
    have = {"a": shot[SECRET]["a"].version, "b": "older"}
    stream.receive(ask(SECRET, "a", "b", have=have))
    assert said(settle(stream, shot)) == [("Secret", {"b": "1"}, [])]


def test_what_is_referred_to_comes_first_and_goes_last(stream: Stream) -> None:
    for kind in (ROUTE, LISTENER, CLUSTER, SECRET, EXTENSION):
        stream.receive(ask(kind, *([] if kind in (CLUSTER, LISTENER) else ["a", "b"])))
    both = {"a": "1", "b": "1"}
    came = settle(stream, snapshot(secret=both, cluster=both, extension=both, listener=both, route=both))
    assert [response.type_url for response in came] == [SECRET, CLUSTER, EXTENSION, LISTENER, ROUTE]
    one = {"a": "2"}
    changed = settle(stream, snapshot(secret=one, cluster=one, extension=one, listener=one, route=one))
    sent = [response.type_url for response in changed if any(found.name == "a" for found in response.resources)]
    gone = [
        response.type_url for response in changed if "b" in response.removed_resources or any(f.name == "b" for f in response.resources)
    ]
    assert sent == [SECRET, CLUSTER, EXTENSION, LISTENER, ROUTE]
    assert gone == [ROUTE, LISTENER, EXTENSION, CLUSTER, SECRET]
    assert changed.index(next(r for r in changed if r.type_url == ROUTE and r.removed_resources)) > changed.index(
        next(r for r in changed if r.type_url == ROUTE and r.resources)
    )


def test_a_secret_that_goes_is_emptied_and_not_removed(stream: Stream) -> None:
    stream.receive(ask(SECRET, "a"))
    settle(stream, snapshot(secret={"a": "1"}))
    (response,) = settle(stream, snapshot())
    assert not response.removed_resources
    assert response.resources[0].name == "a"
    assert b"1" not in response.resources[0].resource.value
    assert stream.due(snapshot()) == []


def test_a_secret_that_does_not_exist_is_an_empty_one_at_once(stream: Stream) -> None:
    stream.receive(ask(SECRET, "foreign"))
    (response,) = stream.due(snapshot(secret={"a": "1"}))
    assert [found.name for found in response.resources] == ["foreign"]


def test_one_response_of_a_kind_is_under_way_and_the_next_holds_the_newest(stream: Stream) -> None:
    stream.receive(ask(SECRET, "a"))
    (first,) = stream.due(snapshot(secret={"a": "1"}))
    assert stream.due(snapshot(secret={"a": "2"})) == []
    newest = snapshot(secret={"a": "3"})
    assert stream.due(newest) == []
    stream.receive(ack(first))
    assert said(stream.due(newest)) == [("Secret", {"a": "3"}, [])]


def test_one_kind_does_not_wait_for_another(stream: Stream) -> None:
    for kind in (SECRET, EXTENSION):
        stream.receive(ask(kind, "a"))
    stream.due(snapshot(secret={"a": "1"}, extension={"a": "1"}))
    stream2 = stream.due(snapshot(secret={"a": "2"}, extension={"a": "1"}))
    assert stream2 == []
    stream.receive(ask(ROUTE, "a"))
    assert [r.type_url for r in stream.due(snapshot(secret={"a": "2"}, extension={"a": "1"}, route={"a": "1"}))] == [ROUTE]


def test_routes_wait_until_clusters_are_warm_but_not_for_ever(stream: Stream) -> None:
    stream.receive(ask(CLUSTER))
    stream.receive(ask(ROUTE, "r"))
    shot = snapshot(cluster={"a": "1"}, route={"r": "1"})
    (clusters,) = stream.due(shot)
    assert stream.holding
    assert stream.due(shot) == []
    (routes,) = stream.due(shot, patient=False)
    assert routes.type_url == ROUTE
    assert not stream.holding
    stream.receive(ack(clusters))
    stream.receive(ack(routes))
    assert stream.in_effect(shot)


def test_clusters_stay_while_a_route_that_was_refused_may_still_use_them(stream: Stream) -> None:
    stream.receive(ask(CLUSTER))
    stream.receive(ask(ROUTE, "r"))
    settle(stream, snapshot(cluster={"a": "1"}, route={"r": "1"}))
    shot = snapshot(cluster={"b": "1"}, route={"r": "2"})
    (clusters,) = stream.due(shot)
    assert clusters.resources[0].name == "b"
    stream.receive(ack(clusters))
    (routes,) = stream.due(shot)
    stream.receive(nack(routes))
    assert stream.due(shot) == []


# --- ACK and NACK


def test_a_stale_nonce_answers_nothing_and_its_subscriptions_count(stream: Stream) -> None:
    shot = snapshot(secret={"a": "1", "b": "1"})
    stream.receive(ask(SECRET, "a"))
    (response,) = stream.due(shot)
    stream.receive(ask(SECRET, "b", nonce="another"))
    assert stream.due(shot) == []
    stream.receive(ack(response))
    assert said(stream.due(shot)) == [("Secret", {"b": "1"}, [])]


def test_a_refused_resource_is_reported_and_not_sent_again_until_it_changes(stream: Stream) -> None:
    stream.receive(ask(ROUTE, "a"))
    settle(stream, snapshot(route={"a": "1"}))
    bad = snapshot(route={"a": "bad"})
    (response,) = stream.due(bad)
    refusal = stream.receive(nack(response, "it quotes a canary"))
    assert refusal
    assert (refusal.type_url, refusal.name, refusal.code) == (ROUTE, "a", 13)
    assert "canary" not in repr(refusal)
    assert stream.due(bad) == []
    assert not stream.in_effect(bad)
    assert said(settle(stream, snapshot(route={"a": "2"}))) == [("RouteConfiguration", {"a": "2"}, [])]


def test_after_a_refusal_the_version_before_it_is_sent_again(stream: Stream) -> None:
    """What the node has of it is uncertain, whatever the protocol says."""
    good = snapshot(extension={"a": "1"})
    stream.receive(ask(EXTENSION, "a"))
    settle(stream, good)
    (response,) = stream.due(snapshot(extension={"a": "bad"}))
    stream.receive(nack(response))
    assert said(settle(stream, good)) == [("TypedExtensionConfig", {"a": "1"}, [])]
    assert stream.in_effect(good)


def test_a_refusal_ends_at_the_one_resource_that_earned_it(stream: Stream) -> None:
    shot = snapshot(cluster={f"c{number}": "bad" if number == 11 else "1" for number in range(100)})
    stream.receive(ask(CLUSTER))
    taken, refusals, responses = set(), [], 0
    while due := stream.due(shot):
        for response in due:
            responses += 1
            content = {found.name: found.resource.value for found in response.resources}
            if any(value.endswith(b"bad") for value in content.values()):
                refusals.append(stream.receive(nack(response)))
            else:
                taken |= content.keys()
                stream.receive(ack(response))
    assert [refusal.name for refusal in refusals if refusal] == ["c11"]
    assert taken == {f"c{number}" for number in range(100) if number != 11}
    assert responses < 20


def test_an_answer_to_something_left_meanwhile_is_forgotten(stream: Stream) -> None:
    shot = snapshot(secret={"a": "1"})
    stream.receive(ask(SECRET, "a"))
    (response,) = stream.due(shot)
    stream.receive(ask(SECRET, leave=["a"]))
    stream.receive(nack(response))
    assert stream.due(shot) == []
    stream.receive(ask(SECRET, "a"))
    assert said(settle(stream, shot)) == [("Secret", {"a": "1"}, [])]


# --- In effect


def test_a_snapshot_is_in_effect_when_all_of_it_is_acknowledged(stream: Stream) -> None:
    shot = snapshot(cluster={"a": "1"}, route={"r": "1"})
    stream.receive(ask(CLUSTER))
    settle(stream, shot)
    assert not stream.in_effect(shot), "the routes were not even asked for"
    stream.receive(ask(ROUTE, "r"))
    (response,) = stream.due(shot)
    assert not stream.in_effect(shot)
    stream.receive(ack(response))
    assert stream.in_effect(shot)
    assert not stream.in_effect(snapshot(cluster={"a": "1"}, route={"r": "2"}))


# --- Anything goes


class Client:
    """An Envoy as bad as can be: refuses what says "bad", takes the good clusters of what it refuses, and may answer late."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.has: dict[str, dict[str, tuple[str, str]]] = {kind: {} for kind in ORDER}  # name -> version, content
        self.names: dict[str, set[str]] = {}
        self.inbox: list[DeltaDiscoveryResponse] = []
        self.refused: list[str] = []

    def subscribe(self, kind: str, names: set[str]) -> None:
        known = self.names.get(kind)
        self.names[kind] = (known or set()) | names
        have = (
            {}
            if known is not None
            else {name: version for name, (version, _) in self.has[kind].items() if kind == CLUSTER or name in names}
        )
        self.stream.receive(ask(kind, *sorted(names), have=have))

    def leave(self, kind: str, names: set[str]) -> None:
        if kind in self.names and kind != CLUSTER:
            self.names[kind] -= names
            self.has[kind] = {name: content for name, content in self.has[kind].items() if name not in names}
            self.stream.receive(ask(kind, leave=sorted(names)))

    def reconnect(self) -> None:
        self.stream, self.inbox, names, self.names = Stream(), [], self.names, {}
        for kind, subscribed in names.items():
            if subscribed or kind == CLUSTER:
                self.subscribe(kind, subscribed)

    def hear(self, shot: Snapshot) -> None:
        self.inbox += self.stream.due(shot)
        kinds = [response.type_url for response in self.inbox]
        assert len(kinds) == len(set(kinds)), "two responses of a kind under way"

    def answer(self) -> None:
        if not self.inbox:
            return
        response = self.inbox.pop(0)
        kind, has = response.type_url, self.has[response.type_url]
        content = {found.name: (found.version, found.resource.value.decode().partition("=")[2]) for found in response.resources}
        bad = any(text == "bad" for _, text in content.values())
        wanted = content.keys() if kind == CLUSTER else content.keys() & self.names[kind]
        for name in wanted:
            if not bad or (kind == CLUSTER and content[name][1] != "bad"):
                has[name] = content[name]
        for name in response.removed_resources:
            has.pop(name, None)
        refusal = self.stream.receive(nack(response) if bad else ack(response))
        if refusal:
            self.refused.append(refusal.name)


contents = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1", "2", "3", "bad"]))
moves = st.one_of(
    st.tuples(st.just("publish"), contents, contents, contents),
    st.tuples(st.just("subscribe"), st.sampled_from([SECRET, ROUTE]), st.sets(st.sampled_from("abcd"), min_size=1)),
    st.tuples(st.just("leave"), st.sampled_from([SECRET, ROUTE]), st.sets(st.sampled_from("abcd"), min_size=1)),
    st.tuples(st.just("answer")),
    st.tuples(st.just("reconnect")),
)


@settings(max_examples=400)
@example([("publish", {"a": "bad", "b": "1"}, {}, {}), ("subscribe", SECRET, {"a", "b"}), ("leave", SECRET, {"a"})])
@given(st.lists(moves, max_size=40))
def test_whatever_happens_the_client_ends_up_with_the_last_snapshot(script: list[tuple[object, ...]]) -> None:
    client, shot = Client(), snapshot()
    client.subscribe(CLUSTER, set())
    for move, *details in script:
        match move:
            case "publish":
                secret, cluster, route = details
                shot = snapshot(secret=secret, cluster=cluster, route=route)  # type: ignore[arg-type]
            case "subscribe":
                client.subscribe(*details)  # type: ignore[arg-type]
            case "leave":
                client.leave(*details)  # type: ignore[arg-type]
            case "answer":
                client.answer()
            case "reconnect":
                client.reconnect()
        client.hear(shot)
        if client.stream.in_effect(shot):
            assert_equal(client, shot, whole=True)
    for _ in range(200):
        client.answer()
        client.hear(shot)
    assert not client.inbox, "it never comes to rest"
    assert_equal(client, shot)
    if all(resource.body.value.endswith(b"bad") is False for kind in shot for resource in shot[kind].values()):
        shot = snapshot(cluster={name: text(shot, name) for name in shot[CLUSTER]})
        for _ in range(50):
            client.hear(shot)
            client.answer()
        assert_equal(client, shot)


def text(shot: Snapshot, name: str) -> str:
    return shot[CLUSTER][name].body.value.decode().partition("=")[2]


def assert_equal(client: Client, shot: Snapshot, *, whole: bool = False) -> None:
    blocked = False
    for kind in reversed(ORDER):
        if kind != CLUSTER and kind not in client.names:
            continue
        names = shot[kind].keys() if kind == CLUSTER else client.names[kind]
        for name in names:
            wanted = shot[kind].get(name)
            content = wanted.body.value.decode().partition("=")[2] if wanted else ("" if kind == SECRET else None)
            if content == "bad":
                assert not whole
                blocked = True
                continue
            got = client.has[kind].get(name)
            if content is None or (kind == SECRET and wanted is None):
                # What should go stays only while something above it was refused and may still use it.
                assert blocked or got is None or got[1] == ""
            else:
                assert got, (kind, name)
                assert got[1] == content
        if kind == CLUSTER and not blocked:
            assert client.has[kind].keys() <= shot[kind].keys()

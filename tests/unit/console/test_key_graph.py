"""The reference graph: its layout, and what stands in it."""

from itertools import pairwise

import pytest

from console.facts.graph import Box, Graph, Holder, Place, draw
from console.facts.picture import MOST_ALONE, MOST_INSTANCES, picture
from gateway import uses
from gateway.delivery import Delivery
from gateway.uses import Census
from secrets_app.models import Key, Region
from tests import cast
from tests.unit.console.asking import blind_to


def graph(*, services: int = 0, consumers: int = 0, places: int = 1) -> Graph:
    refs = [f"gw-{number}" for number in range(places)]
    holders = [Holder("consumer", f"caller-{number}", "/", ("",)) for number in range(consumers)]
    holders += [Holder("ai_service", f"chat-{number}", "/", (refs[number % places],)) for number in range(services)]
    known = {ref: Place(ref, 1) for ref in refs if services} | ({"": Place("Every instance", 3)} if consumers else {})
    return draw("openai_prod", holders, known)


def apart(boxes: list[Box]) -> bool:
    return all(above.y + above.height < below.y for above, below in pairwise(sorted(boxes, key=lambda box: box.y)))


@pytest.mark.parametrize(
    ("services", "consumers", "places"), [(1, 0, 1), (0, 1, 1), (4, 1, 3), (40, 1, 1), (7, 0, 7), (3, 0, 3), (40, 0, 20)]
)
def test_no_box_lies_on_another_and_all_are_inside(services: int, consumers: int, places: int) -> None:
    drawn = graph(services=services, consumers=consumers, places=places)
    holders, beside = [node.box for node in drawn.nodes], [box for _place, box in drawn.places]
    assert apart(holders)
    assert apart(beside)
    for box in [drawn.key, *holders, *beside]:
        assert 0 <= box.x <= box.right <= drawn.width
        assert 0 <= box.y <= box.y + box.height <= drawn.height


def test_every_holder_hangs_on_the_key_and_on_what_serves_it() -> None:
    drawn = graph(services=3, consumers=1, places=2)
    assert [edge.kind for edge in drawn.edges] == ["consumer", "place", "ai_service", "place", "ai_service", "place", "ai_service", "place"]


def test_a_box_for_many_leads_to_every_place() -> None:
    drawn = draw("k", [Holder("ai_service", "AI services", "/", ("a", "b"), 312)], {"a": Place("a", 1), "b": Place("b", 2)})
    assert [edge.kind for edge in drawn.edges] == ["ai_service", "place", "place"]


def test_long_names_are_cut_to_their_box() -> None:
    drawn = draw("x" * 64, [Holder("ai_service", "y" * 63, "/", ("a",))], {"a": Place("z" * 64, 1)})
    labels = [drawn.key.label, drawn.nodes[0].box.label, drawn.places[0][1].label]
    assert all(label.endswith("…") and len(label) < 30 for label in labels)


def test_the_same_holders_are_drawn_the_same() -> None:
    assert graph(services=5, places=2) == graph(services=5, places=2)


# ── Which boxes there are ──


def seen(key: Key, who: str = "vera") -> Graph:
    by, census = cast.actor(who), Census.of(key)
    found = picture(key, census, list(uses.instances(key)), Delivery.of(key.region), by)
    assert found
    return found


def told(drawn: Graph) -> list[str]:
    return [node.says for node in drawn.nodes]


def test_few_holders_are_drawn_one_by_one(region: Region) -> None:
    key, east = cast.key(region, "one"), cast.instance(region, "east")
    cast.service(east, "chat", keys=[key])
    cast.agent(east, "helper", keys=[key, key], apps=["a", "b"])
    cast.consumer(region, "acme", bound_to=key)
    assert told(seen(key)) == ["Consumer acme, Every instance", "AI service chat, east", "Agent service helper, east"]


def test_many_holders_are_a_box_for_each_kind_and_instance(region: Region) -> None:
    key, east, west = cast.key(region, "one"), cast.instance(region, "east"), cast.instance(region, "west")
    cast.consumer(region, "acme", bound_to=key)
    for number in range(MOST_ALONE):
        cast.service(west if number % 4 else east, keys=[key])
    cast.rule(cast.plugin(west), cast.key_auth(key))
    assert told(seen(key)) == [
        "1 Consumer, Every instance",
        "4 AI services, east",
        "12 AI services, west",
        "1 Plug-in, west",
    ]
    links = [node.holder.url for node in seen(key).nodes]
    assert links[1] == "/local/keys/one/references/#group-ai_service"


def test_of_many_instances_those_without_room_are_one(region: Region) -> None:
    key = cast.key(region, "one")
    for number in range(20):
        cast.service(cast.instance(region, f"gateway-{number:02d}"), keys=[key])
    drawn = seen(key)
    assert len(drawn.places) == MOST_INSTANCES
    assert told(drawn)[-1] == "9 AI services, 9 other instances"
    assert sum(node.holder.count for node in drawn.nodes) == 20


def test_a_key_that_nothing_refers_to_has_no_graph(region: Region) -> None:
    key = cast.key(region)
    assert picture(key, Census.of(key), [], Delivery.of(region), cast.actor("vera")) is None


@pytest.mark.parametrize("many", [1, MOST_ALONE + 1])
def test_what_may_not_be_opened_is_a_number(region: Region, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    key, east = cast.key(region, "one"), cast.instance(region, "east")
    for _ in range(many):
        cast.service(east, keys=[key])
    blind_to(monkeypatch, "service.view")
    assert told(seen(key)) == ["1 AI service" if many == 1 else "17 AI services"]
    assert [node.holder.url for node in seen(key).nodes] == [""]

"""The layout of the reference graph."""

from itertools import pairwise

import pytest

from console.facts.graph import Box, Graph, Holder, Place, draw


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
    holders, beside = [box for _holder, box in drawn.holders], [box for _place, box in drawn.places]
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
    labels = [drawn.key.label, drawn.holders[0][1].label, drawn.places[0][1].label]
    assert all(label.endswith("…") and len(label) < 30 for label in labels)


def test_the_same_holders_are_drawn_the_same() -> None:
    assert graph(services=5, places=2) == graph(services=5, places=2)

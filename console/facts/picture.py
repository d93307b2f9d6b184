"""The reference graph of one key, as one person may see it: which boxes there are. Where they stand is up to console/facts/graph.py."""

from collections.abc import Iterator, Mapping, Sequence

from django.utils.translation import gettext as now

from console.facts.graph import Graph, Holder, Place, draw
from console.facts.landing import field_of, to
from console.facts.places import may_open
from gateway import holders, uses
from gateway.delivery import Delivery
from gateway.holders import KINDS
from gateway.models import Consumer, Instance
from gateway.uses import Census
from secrets_app.actor import Actor
from secrets_app.models import Key

MOST_ALONE = 16  # holders that are drawn one by one; more are one box for each kind and instance
MOST_INSTANCES = 12  # that are drawn; the rest are one box
EVERYWHERE, ELSEWHERE = "every", "rest"  # beside the IDs of instances: whatever there is, and those that are not drawn


def picture(key: Key, census: Census, serving: Sequence[Instance], delivery: Delivery, actor: Actor) -> Graph | None:
    """None where nothing refers to the key. Two queries, or three for each kind of holder."""
    if not census.total:
        return None
    seen = actor.instances_with("instance.view", key)
    serving = [one for one in serving if seen is None or one.pk in seen]
    places = _places(serving, delivery)
    few = census.total <= MOST_ALONE
    boxes = list(_alone(key, census, places, actor) if few else _together(key, census, serving, places, actor))
    return draw(key.audit_name, boxes, {ref: place for ref, place in places.items() if any(ref in box.places for box in boxes)})


def _places(serving: Sequence[Instance], delivery: Delivery) -> dict[str, Place]:
    """Those with most nodes, if they are too many."""
    nodes = {instance.pk: len(delivery.by_instance.get(instance.pk, ())) for instance in serving}
    shown = sorted(serving, key=lambda one: (-nodes[one.pk], one.name))
    shown, rest = (shown, []) if len(shown) <= MOST_INSTANCES else (shown[: MOST_INSTANCES - 1], shown[MOST_INSTANCES - 1 :])
    places = {one.ref: Place(one.name, nodes[one.pk]) for one in sorted(shown, key=str)}
    if rest:
        places[ELSEWHERE] = Place(now("%(n)d other instances") % {"n": len(rest)}, sum(nodes[one.pk] for one in rest))
    return places | {EVERYWHERE: Place(now("Every instance"), len(delivery.nodes))}


def _alone(key: Key, census: Census, places: Mapping[str, Place], actor: Actor) -> Iterator[Holder]:
    for kind, count in census.by_kind.items():
        seen: dict[int, holders.Holder] = {}
        for holder in uses.named(key, kind, most=count) if actor.may_within(KINDS[kind].view, key) else ():
            if may_open(holder, key.region, actor):
                seen.setdefault(holder.id, holder)  # a box a holder, whatever the number of its places
        if len(seen) < count:
            yield _withheld(kind, count - len(seen))
        for holder in seen.values():
            ref = holder.instance_ref or EVERYWHERE
            place = ref if ref in places else ELSEWHERE
            yield Holder(kind, holder.name, field_of(key.region, holder, actor), (place,), word=str(KINDS[kind].one))


def _together(key: Key, census: Census, serving: Sequence[Instance], places: Mapping[str, Place], actor: Actor) -> Iterator[Holder]:
    """A box leads to the list of its kind."""
    counted, refs = uses.by_instance(key), {one.pk: one.ref for one in serving}
    for kind, count in census.by_kind.items():
        seen = actor.instances_with(KINDS[kind].view, key)
        everywhere = kind == Consumer.audit_kind and actor.may(KINDS[kind].view, key)
        cells = {EVERYWHERE: count} if everywhere else {}
        for instance, number in counted.get(kind, {}).items():
            if seen is not None and instance not in seen:
                continue
            ref = refs.get(instance, ELSEWHERE)
            ref = ref if ref in places else ELSEWHERE
            cells[ref] = cells.get(ref, 0) + number
        url = to("key-references", key.region, name=key.audit_name) + f"#group-{kind}"
        if sum(cells.values()) < count:
            yield _withheld(kind, count - sum(cells.values()))
        for ref in places:
            if ref in cells:
                yield Holder(kind, _called(kind, cells[ref]), url, (ref,), cells[ref])


def _withheld(kind: str, count: int) -> Holder:
    """Neither names nor instances of what this person may not open."""
    return Holder(kind, _called(kind, count), "", (), count)


def _called(kind: str, count: int) -> str:
    return str(KINDS[kind].one if count == 1 else KINDS[kind].many)

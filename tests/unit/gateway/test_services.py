"""AI services and their deeds. Each test asserts the state and the one audit entry."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import override_settings

from gateway.address import Address
from gateway.models import AiService, Authorization, Consumer, Instance, NewKeys, Node, Service
from gateway.models.service import KEYS_A_SERVICE
from gateway.providers import SUPPLIERS
from secrets_app.access import ACTIONS, OPERATOR, OWNER, Action
from secrets_app.errors import AlreadyDone, Conflict, Invalid, NotAllowed, NotFound, StaleEdit
from secrets_app.models import AuditEntry, Key, KeyVersion, Reference, Region
from tests import cast


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("seq")


@pytest.fixture
def instance(region: Region) -> Instance:
    return cast.instance(region, "east")


def create(instance: Instance, keys: NewKeys | None = None, **changes: object) -> Service:
    given = {
        "name": "chat",
        "supplier": "custom",
        "protocol": "OpenAI/v1",
        "address": "https://api.example.com/v1",
        "keys": keys or NewKeys("custom", [cast.value()]),
        "by": cast.SETUP,
    }
    return AiService.create(instance, **given | changes)  # type: ignore[arg-type]


def test_a_service_with_reference_keys_is_one_reference_a_key_and_one_entry(instance: Instance) -> None:
    keys = [cast.key(instance.region, name) for name in ("one", "two")]
    before = AuditEntry.objects.count()
    service = create(instance, NewKeys("reference", key_names=["two", "one"]))
    assert AuditEntry.objects.count() == before + 1
    assert [(use.path, use.key.name, use.inbound) for use in service.uses] == [("api_keys[0]", "two", False), ("api_keys[1]", "one", False)]
    assert [Key.objects.get(pk=key.pk).reference_count for key in keys] == [1, 1]
    assert (service.consumer_authentication, service.generation) == (True, "reference")
    entry = last_entry()
    assert (entry.action, entry.target_kind, entry.target) == ("service.create", "ai_service", "chat")
    assert entry.facts == {
        "instance": instance.ref,
        "supplier": "custom",
        "address": "https://api.example.com/v1",
        "generation": "reference",
        "keys": ["two", "one"],
        "trimmed": False,
    }
    assert service.changed_seq == entry.seq


def test_values_of_its_own_are_inline_keys_and_only_counted_in_the_log(instance: Instance) -> None:
    service = create(instance, NewKeys("custom", [cast.value(), cast.value()]))
    assert all(use.key.is_inline for use in service.uses)
    assert last_entry().facts["keys"] == 2


def test_ten_keys_and_more_keep_the_order_of_the_form(instance: Instance) -> None:
    names = [f"key{number}" for number in range(KEYS_A_SERVICE)]
    for name in names:
        cast.key(instance.region, name)
    assert [use.key.name for use in create(instance, NewKeys("reference", key_names=names)).uses] == names


def test_several_services_may_hold_equal_values(instance: Instance) -> None:
    create(instance, NewKeys("custom", [cast.value("the same everywhere")]))
    assert create(instance, NewKeys("custom", [cast.value("the same everywhere")]), name="other").pk
    assert create(instance, NewKeys("custom", [cast.value("short")]), name="third").pk  # a supplier's key may be short


def test_all_that_is_wrong_is_told_at_once(instance: Instance) -> None:
    with pytest.raises(Invalid) as refused:
        create(instance, name="No", supplier="none", address="nowhere")
    assert set(refused.value.errors) == {"name", "supplier", "address"}
    with pytest.raises(Invalid) as refused:
        create(instance, protocol="native")
    assert list(refused.value.errors) == ["protocol"]
    assert not Service.objects.exists()
    assert not Key.objects.exists()


def test_a_name_is_taken_once_in_an_instance(instance: Instance) -> None:
    create(instance)
    with pytest.raises(Invalid, match="taken"):
        create(instance)
    assert create(cast.instance(instance.region)).name == "chat"


@pytest.mark.parametrize("supplier", SUPPLIERS)
def test_every_supplier_is_kept_with_each_protocol_it_speaks(instance: Instance, supplier: str) -> None:
    row = SUPPLIERS[supplier]
    for number, protocol in enumerate(row.protocols):
        service = create(
            instance, name=f"s{number}", supplier=supplier, protocol=protocol, address=row.address or "https://api.example.com/mine.com/v1"
        )
        assert service.shape is row.protocols[protocol]
        assert service.supplier_label == str(row.label)
        if row.address:
            assert service.address == row.address


@pytest.mark.parametrize("number", [0, KEYS_A_SERVICE + 1])
def test_the_number_of_keys_has_limits(instance: Instance, number: int) -> None:
    with pytest.raises(Invalid) as refused:
        create(instance, NewKeys("custom", [cast.value() for _ in range(number)]))
    assert list(refused.value.errors) == ["key_0"]


def test_azure_takes_exactly_one_key(instance: Instance) -> None:
    azure = {"supplier": "azure", "address": "https://mine.openai.azure.com/openai/v1"}
    with pytest.raises(Invalid, match="exactly 1"):
        create(instance, NewKeys("custom", [cast.value(), cast.value()]), **azure)
    assert create(instance, **azure).uses[0].path == "api_keys[0]"
    several = create(instance, NewKeys("custom", [cast.value(), cast.value()]), name="several")
    with pytest.raises(Invalid, match="exactly one") as refused:
        several.edit(**azure, protocol="OpenAI/v1", lock_version=1, by=cast.SETUP)
    assert list(refused.value.errors) == ["supplier"]


def test_a_refused_key_is_told_at_its_own_field(instance: Instance) -> None:
    cast.key(instance.region, "good")
    cast.key(instance.region, "off").disable(by=cast.SETUP)
    cast.key(instance.region, "broken", text="line\nbreak")
    cast.key(Region.create("other", "Other", by=cast.SETUP), "foreign")
    for name in ("off", "broken", "foreign", "nobody", "", "good"):
        with pytest.raises(Invalid) as refused:
            create(instance, NewKeys("reference", key_names=["good", name]))
        assert list(refused.value.errors) == ["key_1"], name
    with pytest.raises(Invalid) as refused:
        create(instance, NewKeys("custom", [cast.value(), cast.value(), cast.value("$ref{good}")]))
    assert list(refused.value.errors) == ["key_2"]
    assert Key.objects.get(name="good").reference_count == 0


@override_settings(WEB_PORT=8000, XDS_PORT=18000)
def test_a_service_address_may_not_be_our_own(instance: Instance) -> None:
    Node.join(instance, "local", "127.0.0.1", 8080, by=cast.SETUP)
    for port in (8000, 18000, 8080):
        with pytest.raises(Invalid, match="own address") as refused:
            create(instance, address=f"http://localhost:{port}/v1")
        assert list(refused.value.errors) == ["address"]
    assert create(instance, address="http://localhost:11434/v1").pk


@override_settings(WEB_PORT=8000)
def test_no_name_server_is_asked_while_a_deed_holds_the_database(
    transactional_db: None, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def is_ours(address: Address, ports: set[int]) -> bool:
        asked.append(connection.in_atomic_block)
        return address.host == "alias.example"

    monkeypatch.setattr("gateway.models.reach.is_ours", is_ours)
    with pytest.raises(Invalid, match="own address") as refused:
        create(instance, address="http://alias.example:8000")
    assert list(refused.value.errors) == ["address"]
    service = create(instance, address="http://other.example:8000")
    with pytest.raises(Invalid, match="own address"):
        edit(service, address="http://alias.example:8000")
    assert asked == [False] * 3
    with pytest.raises(NotAllowed):
        create(instance, address="http://alias.example:8000", by=cast.actor("vera"))
    assert len(asked) == 3


@pytest.mark.parametrize("who", ["kim", "vera", "audrey", "mallory"])
def test_only_operators_and_owners_touch_services(instance: Instance, who: str) -> None:
    service, actor = create(instance), cast.actor(who)
    deeds: list[Callable[[], object]] = [
        lambda: create(instance, by=actor, name="mine"),
        lambda: service.edit(supplier="custom", protocol="OpenAI/v1", address="https://evil.example", lock_version=1, by=actor),
        lambda: service.delete(by=actor),
        lambda: service.open(by=actor),
        lambda: service.require_authentication(by=actor),
        lambda: service.authorize(["acme"], by=actor),
        lambda: service.revoke(Consumer(name="acme"), by=actor),
    ]
    for deed in deeds:
        with pytest.raises(NotAllowed):
            deed()
    assert Service.objects.get().address == "https://api.example.com/v1"


def test_the_same_operation_twice_makes_one_service(instance: Instance) -> None:
    create(instance, once=instance.pk)
    with pytest.raises(AlreadyDone):
        create(instance, once=instance.pk)
    assert Service.objects.count() == 1


# Editing


def edit(service: Service, **changes: object) -> None:
    now = Service.objects.get(pk=service.pk)
    given = {"supplier": now.supplier, "protocol": now.protocol, "address": now.address, "lock_version": now.lock_version, "by": cast.SETUP}
    service.edit(**given | changes)  # type: ignore[arg-type]


def test_an_edit_says_what_changed_and_leaves_the_keys(instance: Instance) -> None:
    service = create(instance, NewKeys("reference", key_names=[cast.key(instance.region, "one").name or ""]))
    edit(service, supplier="openai", address="https://api.openai.com/v1/")
    stored = Service.objects.get(pk=service.pk)
    assert (stored.supplier, stored.address, stored.lock_version) == ("openai", "https://api.openai.com/v1", 2)
    assert [use.key.name for use in stored.uses] == ["one"]
    assert last_entry().facts["changed"] == ["supplier", "address"]
    assert stored.changed_seq == last_entry().seq


def test_new_keys_take_the_place_of_all(instance: Instance) -> None:
    old, new = cast.key(instance.region, "old"), cast.key(instance.region, "new_one")
    service = create(instance, NewKeys("reference", key_names=["old"]))
    edit(service, keys=NewKeys("reference", key_names=["new_one", "old"]))
    assert [use.key.name for use in service.uses] == ["new_one", "old"]
    assert [Key.objects.get(pk=key.pk).reference_count for key in (old, new)] == [1, 1]
    edit(service, keys=NewKeys("custom", [cast.value()]))
    assert [Key.objects.get(pk=key.pk).reference_count for key in (old, new)] == [0, 0]
    assert (last_entry().facts["released"], last_entry().facts["keys"]) == (["new_one", "old"], 1)
    inline = service.uses[0].key.pk
    edit(service, keys=NewKeys("reference", key_names=["old"]))
    assert not KeyVersion.objects.filter(key_id=inline).exists()


def test_a_refused_edit_keeps_the_old_keys(instance: Instance) -> None:
    service = create(instance, NewKeys("reference", key_names=[cast.key(instance.region, "one").name or ""]))
    with pytest.raises(Invalid):
        edit(service, keys=NewKeys("reference", key_names=["nobody"]), address="https://elsewhere.example")
    stored = Service.objects.get(pk=service.pk)
    assert (stored.address, [use.key.name for use in stored.uses]) == ("https://api.example.com/v1", ["one"])


def test_a_stale_edit_shows_what_is_stored_now(instance: Instance) -> None:
    service = create(instance)
    edit(service, address="https://api.example.com/theirs")
    with pytest.raises(StaleEdit) as refused:
        service.edit(supplier="custom", protocol="OpenAI/v1", address="https://api.example.com/mine", lock_version=1, by=cast.SETUP)
    assert refused.value.current == {
        "supplier": "OpenAI-compatible",
        "protocol": "OpenAI/v1",
        "address": "https://api.example.com/theirs",
        "generation": "custom",
    }
    assert Service.objects.get().address == "https://api.example.com/theirs"


def test_who_may_not_bind_keys_may_not_send_bound_ones_elsewhere(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    service = create(instance, NewKeys("reference", key_names=[cast.key(instance.region, "one").name or ""]))
    monkeypatch.setitem(ACTIONS, "key.bind", Action(ACTIONS["key.bind"].text, frozenset({OWNER})))
    unbinding = cast.holding("olive", OPERATOR)
    with pytest.raises(NotAllowed):
        edit(service, address="https://elsewhere.example", by=unbinding)
    edit(service, supplier="openai", by=unbinding)


# Authorization


def test_authorizing_and_revoking(instance: Instance) -> None:
    service = create(instance)
    for name in ("acme", "beta"):
        cast.consumer(instance.region, name)
    service.authorize(["beta", "acme", "beta"], by=cast.actor("olive"))
    assert set(service.consumers.values_list("name", flat=True)) == {"acme", "beta"}
    assert (last_entry().action, last_entry().facts) == ("service.authorize", {"instance": instance.ref, "consumers": ["acme", "beta"]})
    assert Service.objects.get().changed_seq == last_entry().seq
    service.revoke(Consumer.objects.get(name="acme"), by=cast.actor("olive"))
    assert set(service.consumers.values_list("name", flat=True)) == {"beta"}
    assert (last_entry().action, last_entry().facts["consumers"]) == ("service.revoke", ["acme"])


def test_authorizing_is_all_or_nothing(instance: Instance) -> None:
    service = create(instance)
    cast.consumer(instance.region, "acme")
    cast.consumer(instance.region, "beta")
    cast.consumer(Region.create("other", "Other", by=cast.SETUP), "foreign")
    for names in ([], ["acme", "nobody"], ["acme", "foreign"], ["acme", "x" * 500], ["acme", "\u202e"]):
        with pytest.raises(Invalid) as refused:
            service.authorize(names, by=cast.SETUP)
        assert list(refused.value.errors) == ["consumers"]
    service.authorize(["acme"], by=cast.SETUP)
    with pytest.raises(Conflict, match="acme is authorized"):
        service.authorize(["acme", "beta"], by=cast.SETUP)
    assert Authorization.objects.count() == 1
    with pytest.raises(Conflict, match="not authorized"):
        service.revoke(Consumer.objects.get(name="beta"), by=cast.SETUP)


def test_consumer_authentication_is_on_until_somebody_turns_it_off(instance: Instance) -> None:
    service = create(instance)
    with pytest.raises(Conflict, match="on already"):
        service.require_authentication(by=cast.SETUP)
    service.open(by=cast.actor("olive"))
    assert (last_entry().action, Service.objects.get().consumer_authentication) == ("service.open", False)
    with pytest.raises(Conflict, match="off already"):
        service.open(by=cast.SETUP)
    service.require_authentication(by=cast.actor("olive"))
    assert (last_entry().action, Service.objects.get().consumer_authentication) == ("service.require_authentication", True)


# Deleting


def test_deleting_a_service_ends_its_references_and_authorizations(instance: Instance) -> None:
    cast.key(instance.region, "shared")
    service = create(instance, NewKeys("reference", key_names=["shared"]))
    cast.consumer(instance.region, "acme")
    service.authorize(["acme"], by=cast.SETUP)
    service.delete(by=cast.actor("olive"))
    assert not Service.objects.exists()
    assert not Authorization.objects.exists()
    assert not Reference.objects.filter(holder_kind="ai_service").exists()
    assert last_entry().facts == {"instance": instance.ref, "released": ["shared"], "consumers": 1}
    assert Key.objects.get(name="shared").reference_count == 0


def test_deleting_a_service_erases_the_values_of_its_own(instance: Instance) -> None:
    create(instance, NewKeys("custom", [cast.value(), cast.value()])).delete(by=cast.SETUP)
    assert not Key.objects.exists()
    assert not KeyVersion.objects.exists()


def test_a_service_deleted_meanwhile_is_not_found(instance: Instance) -> None:
    service = create(instance)
    twin = Service.objects.get(pk=service.pk)
    service.delete(by=cast.SETUP)
    for deed in (lambda: edit_gone(twin), lambda: twin.open(by=cast.SETUP), lambda: twin.authorize(["a"], by=cast.SETUP)):
        with pytest.raises(NotFound):
            deed()


def edit_gone(service: Service) -> None:
    service.edit(supplier="custom", protocol="OpenAI/v1", address="https://api.example.com", lock_version=1, by=cast.SETUP)

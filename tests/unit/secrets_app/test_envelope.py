import itertools
import os
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from secrets_app import envelope
from secrets_app.envelope import Context, Sealed, open_sealed, seal
from secrets_app.errors import CannotOpen, CannotSeal
from secrets_app.framing import framed
from secrets_app.kms import builtin
from secrets_app.plaintext import MAX, Plaintext

ROOT = Path(__file__).parents[3]
CANARY = "canary-3vK8-never-seen"


def context() -> Context:
    return Context(uuid4(), uuid4(), uuid4(), uuid4())


class Keyring:
    def __init__(self, folder: Path) -> None:
        builtin.create_keyring(folder)
        self.public = builtin.load_public(folder)
        self.private = builtin.load_private(folder)


class Glass:
    """A wrapper that hides nothing: shows the DEK that the envelope made, or hands it back what a test chose."""

    kek_id = "glass"

    def __init__(self, opens_to: bytes | None = None) -> None:
        self.opens_to = opens_to
        self.infos: list[bytes] = []

    def wrap(self, dek: bytes, info: bytes) -> bytes:
        self.infos.append(info)
        return dek

    def unwrap(self, wrapped: bytes, kek_id: str, info: bytes) -> bytes:
        self.infos.append(info)
        return wrapped if self.opens_to is None else self.opens_to


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("data") / "kms")


@pytest.fixture(scope="module")
def other_keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("other") / "kms")


def opens(sealed: Sealed, where: Context, keyring: Keyring) -> bool:
    try:
        open_sealed(sealed, where, keyring.private)
    except CannotOpen as error:
        refused = error
    else:
        return True
    assert refused.message == CannotOpen().message
    return False


VALUES = st.binary(min_size=1, max_size=300) | st.integers(1, MAX).map(lambda size: b"\xa5" * size)


@given(value=VALUES.filter(lambda raw: 0 not in raw), ids=st.tuples(*[st.uuids()] * 4))
def test_what_was_sealed_opens_where_it_was_sealed(keyring: Keyring, value: bytes, ids: tuple[UUID, UUID, UUID, UUID]) -> None:
    where = Context(*ids)
    sealed = seal(Plaintext(value), where, keyring.public)
    assert open_sealed(sealed, where, keyring.private).expose() == value
    assert value not in sealed.body[14:] or len(value) < 4


@pytest.mark.parametrize("text", ["a", " ", "\n", "0" * 59, "0" * 60, "0" * 61, "key\r\nschlüssel🔑", "x" * MAX])
def test_edges_of_length_and_charset(keyring: Keyring, text: str) -> None:
    where = context()
    assert open_sealed(seal(Plaintext(text), where, keyring.public), where, keyring.private).expose() == text.encode()


@pytest.mark.parametrize(
    ("size", "blocks"), [(1, 1), (51, 1), (60, 1), (61, 2), (124, 2), (125, 3), (164, 3), (MAX - 4, 1024), (MAX - 3, 1025), (MAX, 1025)]
)
def test_the_size_of_a_body_tells_only_blocks_of_64(keyring: Keyring, size: int, blocks: int) -> None:
    sealed = seal(Plaintext(b"v" * size), context(), keyring.public)
    assert len(sealed.body) == 2 + 12 + 64 * blocks + 16
    assert len(sealed.wrapped) == 3 + 32 + 32 + 16


def test_no_mix_of_two_records_opens(keyring: Keyring) -> None:
    """Body, wrapped DEK and context of records that differ in one id each, and of two versions that hold the same value."""
    base = context()
    places = [base, *(replace(base, **{field: uuid4()}) for field in ("deployment", "region", "key", "version")), context(), base]
    records = [(seal(Plaintext("the same value in all"), place, keyring.public), place) for place in places]
    numbers = range(len(records))
    opened = set()
    for body, wrapped, place in itertools.product(numbers, numbers, numbers):
        mixed = Sealed(records[body][0].body, records[wrapped][0].wrapped, keyring.public.kek_id)
        if opens(mixed, records[place][1], keyring):
            opened.add((body, wrapped, place))
    last = len(records) - 1  # stands in the same place as the first, so each opens there: as a whole only
    assert opened == {(n, n, n) for n in numbers} | {(0, 0, last), (last, last, 0)}


def test_ids_do_not_change_places(keyring: Keyring) -> None:
    ids = [uuid4() for _ in range(4)]
    sealed = seal(Plaintext("value"), Context(*ids), keyring.public)
    assert [order for order in itertools.permutations(ids) if opens(sealed, Context(*order), keyring)] == [tuple(ids)]


@pytest.mark.parametrize("part", ["body", "wrapped"])
def test_every_flipped_bit_is_noticed(keyring: Keyring, part: str) -> None:
    where = context()
    sealed = seal(Plaintext("sk-a-value-in-one-block"), where, keyring.public)
    whole: bytes = getattr(sealed, part)
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not opens(replace(sealed, **{part: bytes(flipped)}), where, keyring), f"bit {bit} of {part}"
    assert opens(sealed, where, keyring)


@pytest.mark.parametrize("part", ["body", "wrapped"])
def test_every_cut_and_every_addition_is_noticed(keyring: Keyring, part: str) -> None:
    where = context()
    sealed = seal(Plaintext("sk-a-value-in-one-block"), where, keyring.public)
    whole: bytes = getattr(sealed, part)
    for changed in [*(whole[:end] for end in range(len(whole))), whole[1:], whole + b"\0", b"\0" + whole, whole * 2]:
        assert not opens(replace(sealed, **{part: changed}), where, keyring)


@pytest.mark.parametrize("position", [0, 1])
def test_an_unknown_format_or_algorithm_is_refused_before_anything_is_unwrapped(position: int) -> None:
    glass, where = Glass(), context()
    sealed = seal(Plaintext("value"), where, glass)
    glass.infos.clear()
    for byte in set(range(256)) - {1}:
        body = bytearray(sealed.body)
        body[position] = byte
        with pytest.raises(CannotOpen):
            open_sealed(replace(sealed, body=bytes(body)), where, glass)
    assert glass.infos == []


def test_another_keyring_or_another_kek_id_does_not_open_it(keyring: Keyring, other_keyring: Keyring) -> None:
    where = context()
    sealed = seal(Plaintext("value"), where, keyring.public)
    assert not opens(sealed, where, other_keyring)
    for kek_id in (other_keyring.public.kek_id, "", "unknown", "\ud800"):
        assert not opens(replace(sealed, kek_id=kek_id), where, keyring)
        assert not opens(replace(sealed, kek_id=kek_id), where, other_keyring)


@pytest.mark.parametrize("dek", [b"", b"k" * 16, b"k" * 24, b"k" * 31, b"k" * 33])
def test_a_dek_of_another_length_is_refused(dek: bytes) -> None:
    where = context()
    sealed = seal(Plaintext("value"), where, Glass())
    with pytest.raises(CannotOpen):
        open_sealed(sealed, where, Glass(opens_to=dek))


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\0" * 64,  # an empty value
        (5).to_bytes(4, "big") + b"value",  # no padding
        (5).to_bytes(4, "big") + b"value" + b"\0" * 119,  # a block too many
        (5).to_bytes(4, "big") + b"value" + b"\0" * 54 + b"\1",  # padding that carries something
        (61).to_bytes(4, "big") + b"v" * 60,  # longer than what is there
        (2**32 - 1).to_bytes(4, "big") + b"v" * 60,
        (3).to_bytes(4, "big") + b"a\0b" + b"\0" * 57,  # NUL inside
    ],
)
def test_a_sealed_text_has_one_form_only(padded: bytes) -> None:
    """Even whoever knows the DEK cannot make a record that opens in a form that seal() would not make."""
    where, dek = context(), b"k" * 32
    aad = framed(b"value", b"\1\1", where.deployment.bytes, where.region.bytes, where.key.bytes, where.version.bytes)
    body = b"\1\1" + b"n" * 12 + AESGCM(dek).encrypt(b"n" * 12, padded, aad)
    with pytest.raises(CannotOpen) as refused:
        open_sealed(Sealed(body, dek, "glass"), where, Glass())
    assert refused.value.message == CannotOpen().message


def test_wrapping_for_another_master_key_leaves_the_body_alone(keyring: Keyring, other_keyring: Keyring) -> None:
    where = context()
    sealed = seal(Plaintext("value"), where, keyring.public)
    ids = (where.deployment.bytes, where.region.bytes, where.key.bytes, where.version.bytes)
    old, new = sealed.kek_id, other_keyring.public.kek_id
    dek = keyring.private.unwrap(sealed.wrapped, old, framed(b"dek", b"\1\1", *ids, old.encode()))
    again = Sealed(sealed.body, other_keyring.public.wrap(dek, framed(b"dek", b"\1\1", *ids, new.encode())), new)
    assert open_sealed(again, where, other_keyring.private).expose() == b"value"


def test_the_wrapper_and_the_unwrapper_are_told_the_same_and_all_of_it() -> None:
    glass, where = Glass(), context()
    open_sealed(seal(Plaintext("value"), where, glass), where, glass)
    ids = (where.deployment.bytes, where.region.bytes, where.key.bytes, where.version.bytes)
    assert glass.infos == [framed(b"dek", b"\1\1", *ids, b"glass")] * 2


def test_a_failure_carries_neither_its_cause_nor_what_was_held_then(keyring: Keyring) -> None:
    where = context()
    dek = b"d" * 32
    sealed = replace(seal(Plaintext(CANARY), where, Glass()), wrapped=dek)
    with pytest.raises(CannotOpen) as refused:
        open_sealed(sealed, where, Glass())
    error = refused.value
    assert error.__cause__ is None
    assert error.__context__ is None
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert [code.co_name for code in codes if code.co_filename == envelope.__file__] == ["open_sealed"]


def test_a_wrapper_that_fails_leaves_nothing_sealed() -> None:
    class Broken(Glass):
        def wrap(self, dek: bytes, info: bytes) -> bytes:
            raise CannotSeal("The KMS does not answer. Try again in a minute.")

    with pytest.raises(CannotSeal, match="does not answer"):
        seal(Plaintext(CANARY), context(), Broken())


def test_nothing_random_repeats() -> None:
    where, value = context(), Plaintext("one value, one place")
    sealed = [seal(value, where, Glass()) for _ in range(2000)]
    assert len({record.wrapped for record in sealed}) == 2000, "DEKs"
    assert len({record.body[2:14] for record in sealed}) == 2000, "nonces"


def test_forked_children_do_not_share_randomness(keyring: Keyring) -> None:
    where, value = context(), Plaintext("one value, one place")

    def both() -> bytes:
        shown = seal(value, where, Glass())
        return shown.wrapped + shown.body[2:14] + seal(value, where, keyring.public).wrapped[3:35]  # DEK, nonce, HPKE's ephemeral key

    both()  # whatever generators there are, they are seeded before the fork
    drawn = [both(), *(_in_child(both) for _ in range(64))]
    for name, part in (("DEK", slice(0, 32)), ("nonce", slice(32, 44)), ("ephemeral key", slice(44, 76))):
        assert len({one[part] for one in drawn}) == 65, name


def _in_child(work: Callable[[], bytes]) -> bytes:
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(into, work())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    assert len(content) == 76
    return content


def test_framing_keeps_apart_what_joining_would_not() -> None:
    parts = [b"", b"a", b"b", b"ab", b"c", b"bc", b"abc", b"\0\0\0\1a"]
    inputs = [combination for count in range(1, 4) for combination in itertools.product(parts, repeat=count)]
    assert len({framed(*combination) for combination in inputs}) == len(inputs)


@pytest.mark.parametrize(
    ("word", "rooms"),
    [(r"\bAESGCM\b", {"secrets_app/envelope.py"}), (r"\bhpke\b", {"secrets_app/kms/builtin.py", "secrets_app/channel.py"})],
)
def test_ciphers_are_used_in_one_place_each(word: str, rooms: set[str]) -> None:
    files = [file for app in ("secrets_app", "gateway", "console") for file in (ROOT / app).rglob("*.py")]
    assert {str(file.relative_to(ROOT)) for file in files if re.search(word, file.read_text())} == rooms

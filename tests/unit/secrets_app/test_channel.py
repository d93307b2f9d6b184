"""An answer opens for whoever asked, about what was asked, and for nobody else."""

import copy
import pickle
from dataclasses import replace
from uuid import uuid4

import pytest

from secrets_app.channel import About, Answer, Asker, answered, named, proof
from secrets_app.errors import CannotOpen

SHARED = b"s" * 32


@pytest.fixture
def about() -> About:
    return About(uuid4(), uuid4(), "key.reveal", str(uuid4()), 3)


@pytest.mark.parametrize("answer", [Answer(True, b"the value"), Answer(True, b""), Answer(False, b"off"), Answer(True, b"x" * 65536)])
def test_the_asker_reads_what_was_answered(about: About, answer: Answer) -> None:
    asker = Asker()
    assert asker.read(answered(answer, asker.public, about, SHARED), about, SHARED) == answer


def test_nothing_else_opens_it(about: About) -> None:
    asker = Asker()
    sealed = answered(Answer(True, b"the value"), asker.public, about, SHARED)
    others = [
        replace(about, deployment=uuid4()),
        replace(about, errand=uuid4()),
        replace(about, action="service.test"),
        replace(about, subject=str(uuid4())),
        replace(about, version=4),
    ]
    for other in others:
        with pytest.raises(CannotOpen):
            asker.read(sealed, other, SHARED)
    with pytest.raises(CannotOpen):
        asker.read(sealed, about, b"t" * 32)
    with pytest.raises(CannotOpen):
        Asker().read(sealed, about, SHARED)


def test_every_flipped_bit_is_noticed(about: About) -> None:
    asker = Asker()
    sealed = answered(Answer(True, b"v"), asker.public, about, SHARED)
    for bit in range(len(sealed) * 8):
        spoilt = bytearray(sealed)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CannotOpen):
            asker.read(bytes(spoilt), about, SHARED)


@pytest.mark.parametrize("garbage", [b"", b"x", b"\0" * 32, b"\0" * 200])
def test_what_is_no_answer_is_none(about: About, garbage: bytes) -> None:
    with pytest.raises(CannotOpen):
        Asker().read(garbage, about, SHARED)


@pytest.mark.parametrize("public", [b"", b"\0" * 32, b"\1" + b"\0" * 31, b"x" * 31, b"x" * 33])
def test_a_public_key_that_is_none_is_answered_nothing(about: About, public: bytes) -> None:
    with pytest.raises(CannotOpen):
        answered(Answer(True, b"the value"), public, about, SHARED)


def test_its_size_tells_little(about: About) -> None:
    asker = Asker()
    sizes = {len(answered(Answer(True, b"x" * size), asker.public, about, SHARED)) for size in range(59)}
    assert len(sizes) == 1


def test_the_private_half_has_no_way_out() -> None:
    asker = Asker()
    assert "rivate" not in repr(asker).replace("_Asker__private", "")
    assert not hasattr(asker, "__dict__")
    for carry in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            carry(asker)


def test_a_proof_is_of_one_errand_and_one_public_key() -> None:
    deployment, errand, public = uuid4(), uuid4(), Asker().public
    given = proof(SHARED, deployment, errand, public)
    assert given == proof(SHARED, deployment, errand, public)
    assert given not in (
        proof(SHARED, deployment, uuid4(), public),
        proof(SHARED, uuid4(), errand, public),
        proof(SHARED, deployment, errand, Asker().public),
        proof(b"t" * 32, deployment, errand, public),
    )
    assert named(public) != named(Asker().public)


def test_an_answer_shows_nothing_of_itself() -> None:
    assert "the value" not in repr(Answer(True, b"the value"))

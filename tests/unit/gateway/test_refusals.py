from gateway.type_urls import EXTENSION, LISTENER
from gateway.xds.refusals import classify
from gateway.xds.stream import Refusal

CANARY = "canary-0123456789"


def test_known_words_become_a_sentence_and_nothing_else_is_kept() -> None:
    kept = classify(Refusal(EXTENSION, "keys", 13, f"Duplicated credential key: '{CANARY}'"))
    assert str(kept) == "Two consumers have equal keys. (ECDS keys, code 13)"
    kept = classify(Refusal(LISTENER, "gateway", 13, "Error: cannot bind '127.0.0.1:80': Address already in use"))
    assert kept.reason == "Another program listens on the gateway's port."


def test_unknown_words_are_dropped_whole() -> None:
    kept = classify(Refusal(EXTENSION, "keys", 3, f"something new about {CANARY}"))
    assert CANARY not in f"{kept} {kept!r}"
    assert "not kept" in kept.reason


def test_a_refusal_hides_its_text_from_logs() -> None:
    assert CANARY not in repr(Refusal(EXTENSION, "keys", 3, CANARY))

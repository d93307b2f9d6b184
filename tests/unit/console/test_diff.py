from console.facts.diff import ADDED, GAP, REMOVED, SAME, Changed, changes
from tests.effort import at_most


def test_equal_texts_have_no_changes() -> None:
    assert changes("a\nb\n", "a\nb\n") == []


def test_a_line_in_the_middle_is_told_with_its_neighbours() -> None:
    before = "".join(f"{number}\n" for number in range(1, 21))
    after = before.replace("10\n", "ten\n")
    assert changes(before, after) == [
        Changed(GAP),
        *(Changed(SAME, str(number), number, number) for number in (7, 8, 9)),
        Changed(REMOVED, "10", before=10),
        Changed(ADDED, "ten", after=10),
        *(Changed(SAME, str(number), number, number) for number in (11, 12, 13)),
        Changed(GAP),
    ]


def test_of_two_strange_texts_every_line_is_told_in_bounded_time() -> None:
    before = "\n".join(str(number % 997) for number in range(16_000))
    after = "\n".join(str(number % 991) for number in range(1, 16_000))
    with at_most(1):
        told = changes(before, after)
    assert sum(line.kind == REMOVED for line in told) > 1_000

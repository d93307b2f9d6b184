"""Which passwords are refused for being guessed."""

from contextlib import suppress

import pytest
from django.core.exceptions import ValidationError

import console.settings as product
from console.passwords import Unguessable
from secrets_app.models import User
from tests.effort import at_most

KIM = User(username="kimberly-clark")


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword", "Password1234!", "P@ssw0rd2026", "qwertyuiop123", "1q2w3e4r5t6y", "letmeinletmein", "trustno1trustno1",
        "iloveyou2024!!", "Summer2026!!", "abcdefghijkl", "aaaaaaaaaaaa", "123456789012", "adminadminadmin", "latchkeylatchkey",
        "kimberly-clark1", "Kimberly-Clark", "a" * 200, "12345678901234567890123456789012345678901234567890",
    ],
)  # fmt: skip
def test_what_others_chose_before_is_refused(password: str) -> None:
    with pytest.raises(ValidationError, match="easy to guess"):
        Unguessable().validate(password, KIM)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "three unrelated words",
        "x7Gq-2mPz-kk9",
        "geheimnisvoll-tulpe-17",
        "密码很长而且没有人会猜到",
        "a" * 28 + "x7Gq-2mPz-kk9",
    ],
)
def test_unrelated_words_and_random_signs_are_taken(password: str) -> None:
    Unguessable().validate(password, KIM)


@pytest.mark.parametrize("password", ["4@8({[<3691!|1l/0$5+7%2" * 10, "1l|!i7$5s0o4@a" * 18, "a1" * 128, "\ud7ff" * 256])
def test_no_text_keeps_it_busy(password: str) -> None:
    with at_most(2), suppress(ValidationError):
        Unguessable().validate(password, KIM)


def test_the_product_asks_for_twelve_characters_that_are_not_guessed() -> None:
    names = [row["NAME"].rpartition(".")[2] for row in product.AUTH_PASSWORD_VALIDATORS]
    assert names == ["MinimumLengthValidator", "Unguessable", "UserAttributeSimilarityValidator"]
    assert product.AUTH_PASSWORD_VALIDATORS[0]["OPTIONS"] == {"min_length": 12}

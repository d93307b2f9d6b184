"""The one place of the console that opens a Plaintext: a generated value, for the answer to the POST that made it."""

from secrets_app.plaintext import Plaintext


def shown_once(value: Plaintext) -> str:
    """The text of a value generated in this very request. It goes into that answer and nowhere else: no session, address or log."""
    return value.expose().decode()

"""A database that an earlier code has made is known for one."""

import pytest
from django.db import connection

from secrets_app.db import lacking

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ("ALTER TABLE gateway_node DROP COLUMN envoy_version", "gateway_node.envoy_version"),
        ("DROP TABLE gateway_problem", "gateway_problem.id"),
    ],
)
def test_what_the_database_lacks_is_named(change: str, missing: str) -> None:
    assert lacking() == ""
    with connection.cursor() as cursor:
        cursor.execute(change)
    assert lacking() == missing

import pytest

from secrets_app.models import Region
from tests import cast


@pytest.fixture
def region(db: None) -> Region:
    return cast.deployment()

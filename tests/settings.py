"""The product's own settings on a data folder of this worker's own, so that tests run side by side and leave nothing behind."""

import atexit
import os
import shutil
import tempfile

# Playwright's synchronous API keeps an event loop in this thread; Django would refuse database work beside it.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
os.environ["CONSOLE_DATA_DIR"] = tempfile.mkdtemp(prefix="latchkey-test-")
os.environ["CONSOLE_PROBE_LOOPBACK"] = "true"  # where the back ends of tests are
os.environ["CONSOLE_SECRET_KEY"] = "for tests only, " * 4
# A production's own database is none to test on: one that is has its own name.
os.environ.pop("DATABASE_URL", None)
if tested_on := os.environ.get("TEST_DATABASE_URL"):
    os.environ["DATABASE_URL"] = tested_on
atexit.register(shutil.rmtree, os.environ["CONSOLE_DATA_DIR"], ignore_errors=True)

from console.settings import *  # noqa: E402, F403
from secrets_app.hardening import UMASK  # noqa: E402

os.umask(UMASK)  # as manage.py does
WHITENOISE_USE_FINDERS = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # every test makes people; Argon2 costs 50 ms each

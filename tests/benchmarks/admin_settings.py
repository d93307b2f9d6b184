"""The product's settings and a stock Django admin, which stands beside the key list for comparison and nowhere else."""

from console.settings import *  # noqa: F403
from console.settings import INSTALLED_APPS, TEMPLATES

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.messages"]
TEMPLATES[0]["OPTIONS"]["context_processors"] += [  # type: ignore[index]
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
ROOT_URLCONF = "tests.benchmarks.admin_urls"
SILENCED_SYSTEM_CHECKS = ["admin.E409", "admin.E410"]  # its middleware: the list is asked for directly
ALLOWED_HOSTS = ["testserver"]

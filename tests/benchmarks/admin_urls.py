from django.urls import path

from console.urls import *  # noqa: F403
from console.urls import urlpatterns
from tests.benchmarks.key_admin import careful, usual

urlpatterns = [path("careful/", careful.urls), path("usual/", usual.urls), *urlpatterns]

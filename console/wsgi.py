import os

import django

from console.handler import Handler
from secrets_app.hardening import UMASK, keep_memory_private

os.umask(UMASK)
keep_memory_private()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup(set_prefix=False)
application = Handler()

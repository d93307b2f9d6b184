import os

from django.core.wsgi import get_wsgi_application

from secrets_app.hardening import UMASK, keep_memory_private

os.umask(UMASK)
keep_memory_private()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
application = get_wsgi_application()

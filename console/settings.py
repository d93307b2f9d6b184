"""Settings by environment. README's table names every variable read here, and a test holds the two together."""

import os
import secrets
import warnings
from pathlib import Path
from urllib.parse import quote

import environ
from csp.constants import NONE, SELF

from secrets_app.files import write_private

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()  # every NAME may be given as NAME_FILE, the path of a file that holds it

DATA_DIR = Path(env.str("CONSOLE_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DEBUG = env.bool("CONSOLE_DEBUG", default=False)


def _secret_key() -> str:
    """The signing key for sessions and forms. Made on first start: it seals nothing, so losing it only signs people out."""
    if given := str(env.str("CONSOLE_SECRET_KEY", default="")):
        return given
    file = DATA_DIR / "secret_key"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(48).encode(), replace=False)
    return str(file.read_text())


SECRET_KEY = _secret_key()
ALLOWED_HOSTS = env.list("CONSOLE_ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CONSOLE_TRUSTED_ORIGINS", default=[])
TRUSTED_PROXIES = env.list("CONSOLE_TRUSTED_PROXIES", default=[])  # whose X-Forwarded-For is believed
SECURE = env.bool("CONSOLE_SECURE", default=False)  # served over TLS: Secure cookies, HSTS

# Where each process listens; a service address may be none of these.
WEB_PORT = env.int("CONSOLE_WEB_PORT", default=8000)
XDS_PORT = env.int("CONSOLE_XDS_PORT", default=18000)
GATEWAY_PORT = env.int("CONSOLE_GATEWAY_PORT", default=8080)
PROBE_LOOPBACK = env.bool("CONSOLE_PROBE_LOOPBACK", default=False)  # whether "Test connection" calls the control plane's own machine
ENVOY_PATH = env.str("CONSOLE_ENVOY_PATH", default="")
# Where the control plane appends signed checkpoints of the audit log. By environment alone: a page that could set it could empty it.
AUDIT_SINK = Path(env.str("CONSOLE_AUDIT_SINK", default=str(DATA_DIR / "audit" / "checkpoints.jsonl"))).resolve()
BODY_LIMIT = 1024 * 1024  # bytes; a larger request body is answered 413

INSTALLED_APPS = [
    "console",  # before Django's own: its changepassword stands in place of theirs
    "django.contrib.admin.apps.SimpleAdminConfig",  # console/admin.py: the audit log, and nothing that is discovered
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "django.forms",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "secrets_app",
    "gateway",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "console.api.InJson",
    "console.middleware.BodyLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "console.middleware.Door",
]

# The admin changes nothing, so it has no message to leave and no name of its own to greet.
SILENCED_SYSTEM_CHECKS = ["admin.E402", "admin.E404", "admin.E406", "admin.E409"]

ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "console.pages.surroundings",
            ],
            "builtins": ["console.templatetags.ui"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{quote(str(DATA_DIR / 'latchkey.sqlite3'))}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Deferred transactions lost 2,233 of 2,400 writes among 8 writers, immediate ones none.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON",
    }
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    # As long as SQLite waits: a lock that stays held becomes an answer. What DATABASE_URL says stands behind it, and so counts.
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    _options["options"] = f"-c lock_timeout=5s {_options.get('options', '')}".strip()
DATABASES["default"]["CONN_MAX_AGE"] = None
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# Wrong sign-ins are counted here: of 300 entries, Django's own limit, a flood of made-up names would wash the counters away.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "console_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}
SESSION_ENGINE = "console.sessions"

AUTH_USER_MODEL = "secrets_app.User"
AUTHENTICATION_BACKENDS = ["console.accounts.Backend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "console.passwords.Unguessable"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "console.accounts.ClosedDoor"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip",
    "api_refused": "60/m/ip",  # tokens that open nothing
    "login_failed": "10/m/ip,5/5m/key,20/h/key",  # key: a name from one address
    "second_factor": "20/m/ip,5/5m/key,20/h/key,50/d/key",  # key: a person
    "login_failed_anywhere": "100/h/key",  # key: a name. More than four addresses can use up, whoever they are
}
# Single sign-on by OpenID Connect; without an issuer there is none.
OIDC_ISSUER = env.str("CONSOLE_OIDC_ISSUER", default="")
OIDC_CLIENT_ID = env.str("CONSOLE_OIDC_CLIENT_ID", default="")
OIDC_CLIENT_SECRET = env.str("CONSOLE_OIDC_CLIENT_SECRET", default="")
OIDC_NAME = env.str("CONSOLE_OIDC_NAME", default="Single sign-on")
OIDC_GROUPS = env.str("CONSOLE_OIDC_GROUPS", default="")  # "platform=owner, keys=key_manager@local"
OIDC_TRUST_DAYS = min(env.int("CONSOLE_OIDC_TRUST_DAYS", default=7), 3650)  # for which the groups of a sign-in count
MFA_ADAPTER = "console.factors.SealedSeeds"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Latchkey"
MFA_TOTP_TOLERANCE = 1  # steps of 30 seconds that a clock may be off by
MFA_RECOVERY_CODE_DIGITS = 12
FRESH_FOR = 5 * 60  # seconds that a password or a second factor counts for sensitive deeds
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"

SESSION_COOKIE_NAME = "__Host-latchkey" if SECURE else "latchkey"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_AGE = 12 * 60 * 60  # after sign-in, however busy
SESSION_IDLE = 30 * 60  # without a request
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-latchkey-csrf" if SECURE else "latchkey-csrf"
CSRF_FAILURE_VIEW = "console.refusals.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_SSL_REDIRECT = False  # the proxy in front of a production console redirects
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_LIMIT
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300
DEFAULT_EXCEPTION_REPORTER_FILTER = "console.reporting.Reticent"

LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755  # of what collectstatic writes: a proxy of another user's may serve it
# `up` serves straight from the source folders; production runs collectstatic at build time (README).
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
if WHITENOISE_USE_FINDERS:
    warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)  # there is none, on purpose
WHITENOISE_AUTOREFRESH = DEBUG

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"links": {"()": "console.reporting.Links"}, "other_names": {"()": "console.reporting.OtherNames"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["links", "other_names"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # At DEBUG this logger prints the parameters of every statement: never.
        "django.db.backends": {"level": "INFO"},
        # Replaces Django's own handler, which would mail request dumps to administrators.
        "django": {"handlers": [], "level": os.environ.get("CONSOLE_LOG_LEVEL", "WARNING"), "propagate": True},
    },
}

"""The site map. A region comes first in the address of everything that lies in one; its name is none of the first words here."""

from django.urls import URLPattern, URLResolver, include, path, register_converter
from django.urls.converters import StringConverter

from console.views import account, audit, health, overview, settings, styleguide
from console.views.stylesheet import stylesheet


class RegionName(StringConverter):
    regex = "[a-z][a-z0-9-]{1,31}"


register_converter(RegionName, "region")

handler400 = "console.views.errors.bad_request"
handler403 = "console.views.errors.permission_denied"
handler404 = "console.views.errors.not_found"
handler429 = "console.views.errors.too_many"  # allauth's
handler500 = "console.views.errors.server_error"

in_a_region: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.home, name="home"),
    path("sign-in/", account.sign_in, name="sign-in"),
    path("sign-out/", account.sign_out, name="sign-out"),
    path("theme/", account.theme, name="theme"),
    path("audit/", audit.entries, name="audit-list"),
    path("audit/<int:seq>/", audit.entry, name="audit-detail"),
    path("settings/", settings.settings, name="settings"),
    path("settings/regions/new/", settings.create_region, name="region-create"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("styleguide/", styleguide.styleguide, name="styleguide"),
    path("styleguide/options/", styleguide.options, name="styleguide-options"),
    path("styleguide/<slug:name>/", styleguide.scene, name="styleguide-scene"),
    path("latchkey.css", stylesheet, name="stylesheet"),
    path("<region:region>/", include(in_a_region)),
]

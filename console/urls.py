"""The site map. A region comes first in the address of everything that lies in one; its name is none of the first words here."""

from django.urls import URLPattern, URLResolver, include, path, register_converter
from django.urls.converters import StringConverter

from console import admin
from console.views import (
    account,
    api,
    audit,
    consumers,
    credentials,
    custom_plugins,
    factors,
    grants,
    health,
    instances,
    invitations,
    jwt,
    keys,
    mcp,
    nodes,
    overview,
    own_account,
    people,
    plugins,
    policies,
    references,
    regions,
    reveal,
    roles,
    rules,
    services,
    settings,
    sso,
    styleguide,
    teams,
    tokens,
    trials,
)
from console.views.stylesheet import stylesheet


class RegionName(StringConverter):
    regex = "[a-z][a-z0-9-]{1,31}"


class KeyName(StringConverter):
    regex = "[A-Za-z0-9_]{1,64}"


class ServiceSource(StringConverter):
    regex = "ai|agent"


class McpName(StringConverter):
    regex = "[a-z0-9][a-z0-9.-]{0,63}"


class NodeName(StringConverter):
    regex = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


class Username(StringConverter):
    regex = "[a-zA-Z0-9][a-zA-Z0-9@.+_-]{0,149}"


class RulePlace(StringConverter):
    """Whose rule of a plug-in: the instance's, or that of one service, which is named with its sort."""

    regex = "instance|services/[a-z0-9][a-z0-9_-]{0,62}|mcp/[a-z0-9][a-z0-9.-]{0,63}"


register_converter(ServiceSource, "source")
register_converter(McpName, "mcp")
register_converter(NodeName, "node")
register_converter(RulePlace, "place")
register_converter(Username, "person")
register_converter(RegionName, "region")
register_converter(KeyName, "key")

handler400 = "console.refusals.bad_request"
handler403 = "console.refusals.permission_denied"
handler404 = "console.refusals.not_found"
handler429 = "console.refusals.too_many"  # allauth's
handler500 = "console.refusals.server_error"

in_a_region: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("switch/<path:page>", regions.switch, name="region-switch"),
    path("keys/", keys.list_, name="key-list"),
    path("keys/new/", keys.create, name="key-create"),
    path("keys/new/name/", keys.name, name="key-name"),
    path("keys/options/", keys.options, name="key-options"),
    path("keys/<key:name>/", keys.detail, name="key-detail"),
    path("keys/<key:name>/edit/", keys.edit, name="key-edit"),
    path("keys/<key:name>/rotate/", keys.rotate, name="key-rotate"),
    path("keys/<key:name>/roll-back/<int:number>/", keys.roll_back, name="key-roll-back"),
    path("keys/<key:name>/reveal/", reveal.reveal, name="key-reveal"),
    path("keys/<key:name>/reveal/<uuid:asked>/", reveal.approve, name="key-approve-reveal"),
    path("keys/<key:name>/disable/", keys.disable, name="key-disable"),
    path("keys/<key:name>/enable/", keys.enable, name="key-enable"),
    path("keys/<key:name>/policy/", policies.policy, name="key-policy"),
    path("keys/<key:name>/policy/edit/", policies.set_policy, name="key-set-policy"),
    path("keys/<key:name>/use/", references.use, name="key-use"),
    path("keys/<key:name>/references/", references.references, name="key-references"),
    path("keys/<key:name>/move/", references.move, name="key-move"),
    path("keys/<key:name>/delete/", keys.delete, name="key-delete"),
    path("consumers/", consumers.list_, name="consumer-list"),
    path("consumers/new/", consumers.create, name="consumer-create"),
    path("consumers/new/bind-summary/", consumers.bind_summary, name="consumer-bind-summary"),
    path("consumers/<slug:name>/", consumers.detail, name="consumer-detail"),
    path("consumers/<slug:name>/edit/", consumers.edit, name="consumer-edit"),
    path("consumers/<slug:name>/switch-method/", jwt.switch, name="consumer-switch-method"),
    path("consumers/<slug:name>/jwt/rotate/", jwt.rotate, name="consumer-rotate-jwt"),
    path("consumers/<slug:name>/disable/", consumers.disable, name="consumer-disable"),
    path("consumers/<slug:name>/enable/", consumers.enable, name="consumer-enable"),
    path("consumers/<slug:name>/delete/", consumers.delete, name="consumer-delete"),
    path("consumers/<slug:name>/authorize/mcp/", grants.authorize_mcp, name="consumer-authorize-mcp"),
    path("consumers/<slug:name>/authorize/<source:kind>/", grants.authorize, name="consumer-authorize"),
    path("consumers/<slug:name>/credentials/new/", credentials.add, name="consumer-add-credential"),
    path("consumers/<slug:name>/credentials/<int:number>/edit/", credentials.edit, name="consumer-edit-credential"),
    path("consumers/<slug:name>/credentials/<int:number>/rotate/", credentials.rotate, name="consumer-rotate"),
    path("consumers/<slug:name>/credentials/<int:number>/remove/", credentials.remove, name="consumer-remove-credential"),
    path("plugins/", custom_plugins.list_, name="custom-plugin-list"),
    path("plugins/new/", custom_plugins.create, name="custom-plugin-create"),
    path("plugins/<slug:name>/", custom_plugins.detail, name="custom-plugin-detail"),
    path("plugins/<slug:name>/edit/", custom_plugins.edit, name="custom-plugin-edit"),
    path("plugins/<slug:name>/delete/", custom_plugins.delete, name="custom-plugin-delete"),
    path("instances/", instances.list_, name="instance-list"),
    path("instances/new/", instances.create, name="instance-create"),
    path("instances/<slug:ref>/", instances.detail, name="instance-detail"),
    path("instances/<slug:ref>/upgrade/", instances.upgrade, name="instance-upgrade"),
    path("instances/<slug:ref>/delete/", instances.delete, name="instance-delete"),
    path("instances/<slug:ref>/keys/", instances.keys, name="instance-keys"),
    path("instances/<slug:ref>/nodes/", nodes.list_, name="node-list"),
    path("instances/<slug:ref>/nodes/<node:name>/remove/", nodes.remove, name="node-remove"),
    path("instances/<slug:ref>/services/", services.list_, name="service-list"),
    path("instances/<slug:ref>/services/new/", services.create, name="service-create"),
    path("instances/<slug:ref>/services/new/preset/", services.preset, name="service-preset"),
    path("instances/<slug:ref>/services/new/key-row/", services.key_row, name="service-key-row"),
    path("instances/<slug:ref>/services/<slug:name>/", services.detail, name="service-detail"),
    path("instances/<slug:ref>/services/<slug:name>/edit/", services.edit, name="service-edit"),
    path("instances/<slug:ref>/services/<slug:name>/test/", trials.of_service, name="service-test"),
    path("instances/<slug:ref>/services/<slug:name>/delete/", services.delete, name="service-delete"),
    path("instances/<slug:ref>/services/<slug:name>/open/", services.open_, name="service-open"),
    path(
        "instances/<slug:ref>/services/<slug:name>/require-authentication/",
        services.require_authentication,
        name="service-require-authentication",
    ),
    path("instances/<slug:ref>/services/<slug:name>/authorize/", services.authorize, name="service-authorize"),
    path("instances/<slug:ref>/services/<slug:name>/revoke/<slug:consumer>/", services.revoke, name="service-revoke"),
    path("instances/<slug:ref>/mcp/", mcp.list_, name="mcp-list"),
    path("instances/<slug:ref>/mcp/new/", mcp.create, name="mcp-create"),
    path("instances/<slug:ref>/mcp/new/preview/", mcp.preview, name="mcp-preview"),
    path("instances/<slug:ref>/mcp/<mcp:name>/", mcp.detail, name="mcp-detail"),
    path("instances/<slug:ref>/mcp/<mcp:name>/edit/", mcp.edit, name="mcp-edit"),
    path("instances/<slug:ref>/mcp/<mcp:name>/test/", trials.of_mcp, name="mcp-test"),
    path("instances/<slug:ref>/mcp/<mcp:name>/delete/", mcp.delete, name="mcp-delete"),
    path("instances/<slug:ref>/mcp/<mcp:name>/backend-auth/", mcp.configure_backend_auth, name="mcp-configure-backend-auth"),
    path("instances/<slug:ref>/mcp/<mcp:name>/open/", mcp.open_, name="mcp-open"),
    path("instances/<slug:ref>/mcp/<mcp:name>/require-authentication/", mcp.require_authentication, name="mcp-require-authentication"),
    path("instances/<slug:ref>/mcp/<mcp:name>/authorize/", mcp.authorize, name="mcp-authorize"),
    path("instances/<slug:ref>/mcp/<mcp:name>/revoke/<slug:consumer>/", mcp.revoke, name="mcp-revoke"),
    path("instances/<slug:ref>/plugins/", plugins.list_, name="plugin-list"),
    path("instances/<slug:ref>/plugins/<slug:name>/", plugins.detail, name="plugin-detail"),
    path("instances/<slug:ref>/plugins/<slug:name>/install/", plugins.install, name="plugin-install"),
    path("instances/<slug:ref>/plugins/<slug:name>/uninstall/", plugins.uninstall, name="plugin-uninstall"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/new/", plugins.place, name="rule-place"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/", rules.detail, name="rule-detail"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/edit/", rules.write, name="rule-write"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/check/", rules.check, name="rule-check"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/enable/", rules.enable, name="rule-enable"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/disable/", rules.disable, name="rule-disable"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/delete/", rules.delete, name="rule-delete"),
    path("instances/<slug:ref>/plugins/<slug:name>/rules/<place:place>/restore/<int:number>/", rules.restore, name="rule-restore"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.home, name="home"),
    path("sign-in/", account.sign_in, name="sign-in"),
    path("sign-in/second-factor/", account.second_factor, name="sign-in-second-factor"),
    path("sign-in/sso/", sso.begin, name="sso"),
    path("sign-in/sso/callback/", sso.callback, name="sso-callback"),
    path("sign-out/", account.sign_out, name="sign-out"),
    path("theme/", account.theme, name="theme"),
    path("account/", own_account.detail, name="account"),
    path("account/second-factor/", factors.set_up, name="account-set-up"),
    path("account/confirm/", account.confirm, name="confirm"),
    path("account/password/", own_account.change_password, name="account-password"),
    path("account/authenticator-app/", factors.add_app, name="account-add-app"),
    path("account/security-key/", factors.add_key, name="account-add-key"),
    path("account/factors/<int:pk>/rename/", factors.rename, name="account-rename-factor"),
    path("account/factors/<int:pk>/remove/", factors.remove, name="account-remove-factor"),
    path("account/recovery-codes/", factors.make_recovery_codes, name="account-recovery-codes"),
    path("account/sessions/end-others/", own_account.end_other_sessions, name="account-end-other-sessions"),
    path("account/sessions/<uuid:ref>/end/", own_account.end_session, name="account-end-session"),
    path("audit/", audit.entries, name="audit-list"),
    path("audit/export/", audit.export, name="audit-export"),
    path("audit/<int:seq>/", audit.entry, name="audit-detail"),
    path("team/", people.list_, name="user-list"),
    path("team/people/<person:username>/", people.detail, name="user-detail"),
    path("team/people/<person:username>/disable/", people.disable, name="user-disable"),
    path("team/people/<person:username>/enable/", people.enable, name="user-enable"),
    path("team/people/<person:username>/delete/", people.delete, name="user-delete"),
    path("team/people/<person:username>/grant/", roles.grant_user, name="user-grant"),
    path("team/teams/", teams.list_, name="team-list"),
    path("team/teams/new/", teams.create, name="team-create"),
    path("team/teams/<uuid:team>/", teams.detail, name="team-detail"),
    path("team/teams/<uuid:team>/edit/", teams.edit, name="team-edit"),
    path("team/teams/<uuid:team>/delete/", teams.delete, name="team-delete"),
    path("team/teams/<uuid:team>/grant/", roles.grant_team, name="team-grant"),
    path("team/teams/<uuid:team>/members/new/", teams.add_member, name="team-add-member"),
    path("team/teams/<uuid:team>/members/<person:username>/remove/", teams.remove_member, name="team-remove-member"),
    path("team/invitations/", invitations.list_, name="invitation-list"),
    path("team/invitations/new/", invitations.create, name="invitation-create"),
    path("team/invitations/<int:invitation>/revoke/", invitations.revoke, name="invitation-revoke"),
    path("invited/<str:token>/", invitations.accept, name="invitation-accept"),
    path("team/tokens/", tokens.list_, name="token-list"),
    path("account/tokens/", tokens.own, name="token-own"),
    path("account/tokens/new/", tokens.create, name="token-create"),
    path("account/tokens/<int:token>/revoke/", tokens.revoke, name="token-revoke"),
    path("api/v1/audit/", api.audit, name="api-audit"),
    path("api/v1/<region:region>/keys/", api.keys, name="api-keys"),
    path("api/v1/<region:region>/keys/<key:name>/", api.key, name="api-key"),
    path("api/v1/<region:region>/keys/<key:name>/rotate/", api.rotate, name="api-key-rotate"),
    path("api/v1/<region:region>/keys/<key:name>/disable/", api.disable, name="api-key-disable"),
    path("api/v1/<region:region>/keys/<key:name>/enable/", api.enable, name="api-key-enable"),
    path("api/v1/<region:region>/consumers/", api.consumers, name="api-consumers"),
    path("team/roles/", roles.list_, name="role-list"),
    path("team/grants/<int:grant>/revoke/", roles.revoke, name="role-revoke"),
    path("settings/", settings.settings, name="settings"),
    path("settings/reveal/", reveal.edit_policy, name="settings-edit-reveal"),
    path("settings/second-factor/", settings.edit_second_factor, name="settings-edit-second-factor"),
    path("settings/regions/new/", settings.create_region, name="region-create"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("styleguide/", styleguide.styleguide, name="styleguide"),
    path("styleguide/options/", styleguide.options, name="styleguide-options"),
    path("styleguide/<slug:name>/", styleguide.scene, name="styleguide-scene"),
    path("latchkey.css", stylesheet, name="stylesheet"),
    path("admin/", include(admin.site.get_urls())),
    path("<region:region>/", include(in_a_region)),
]

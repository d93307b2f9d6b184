"""Rights and audit actions as one table: one row per name, read by the middleware, the verbs, the audit log and the control plane.

A row is a permission when some role holds it, and an audit action when something is written under it; most are both.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from secrets_app.scope import EVERYWHERE, Scope

OWNER, KEY_MANAGER, OPERATOR, VIEWER, AUDITOR = "owner", "key_manager", "operator", "viewer", "auditor"
SYSTEM = "system"  # the console's own processes; never granted to a person
EVERYBODY = "everybody"  # whoever is signed in, roles or none

ROLES: dict[str, tuple[Promise, Promise]] = {
    OWNER: (_("Owner"), _("Everything except revealing a value.")),
    KEY_MANAGER: (
        _("Key manager"),
        _("Creates, rotates, disables and deletes keys. Reveals a value, while the policy in Settings allows it."),
    ),
    OPERATOR: (_("Operator"), _("Manages consumers, instances, services and plug-ins, and binds keys to them.")),
    VIEWER: (_("Viewer"), _("Sees names, states and references; changes nothing.")),
    AUDITOR: (_("Auditor"), _("Reads the audit log.")),
}


DEPLOYMENT, REGION, INSTANCE = "deployment", "region", "instance"
_DEPTH = {DEPLOYMENT: 0, REGION: 1, INSTANCE: 2}

# Of what lies in an instance a right may be held there; of what a region shares, in the region at least; of the rest, everywhere.
_LEVELS = {
    "settings": DEPLOYMENT, "deployment": DEPLOYMENT, "user": DEPLOYMENT, "team": DEPLOYMENT, "role": INSTANCE,
    "invitation": DEPLOYMENT,
    "instance": INSTANCE, "node": INSTANCE, "service": INSTANCE, "mcp": INSTANCE, "plugin": INSTANCE, "rule": INSTANCE,
}  # fmt: skip
_LEVEL_OF = {
    "region.create": DEPLOYMENT, "instance.create": REGION, "token.view": DEPLOYMENT, "user.view": INSTANCE, "team.view": INSTANCE,
    "key.bind": INSTANCE,  # a key is bound where its holder lies
}  # fmt: skip

# Keys and the log belong to regions: who manages or reads them does so for a region at least.
FOR_AN_INSTANCE = frozenset({OWNER, OPERATOR, VIEWER})

# What an instance leans on: whoever holds a role in one of them sees these of the whole region, and changes none.
SHARED = frozenset({"overview.view", "key.view", "consumer.view", "plugin.view"})


def level_of(action: str) -> str:
    """Of an action by its name: where the right to it may be held at the narrowest."""
    return _LEVEL_OF.get(action) or _LEVELS.get(action.partition(".")[0], REGION)


@dataclass(frozen=True, slots=True)
class Action:
    """`text` completes "<actor> ... <target>". `facts` is the allow-list of what an entry may say.

    `publishes`: the gateways of the entry's region may have to change. Of an edit, `shows` are the properties whose state before and after
    an entry tells, `hides` those of which it says no more than that they changed.
    """

    text: Promise
    roles: frozenset[str]
    publishes: bool = False
    facts: frozenset[str] = frozenset()
    shows: frozenset[str] = frozenset()
    hides: frozenset[str] = frozenset()


def _row(text: Promise, *roles: str, publishes: bool = False, facts: str = "", shows: str = "", hides: str = "") -> Action:
    return Action(
        text, frozenset({OWNER, SYSTEM, *roles}), publishes, frozenset(facts.split()), frozenset(shows.split()), frozenset(hides.split())
    )


def _system(text: Promise, facts: str = "", publishes: bool = False) -> Action:
    return Action(text, frozenset({SYSTEM}), publishes, frozenset(facts.split()))


def _break_glass(text: Promise, *roles: str, facts: str = "") -> Action:
    """Held by these roles alone: neither by the owner, who decides whether it may be done at all, nor by a process of the console."""
    return Action(text, frozenset(roles), facts=frozenset(facts.split()))


_JWT = "method key_type claim pass_through url"  # of a consumer's tokens

ACTIONS: dict[str, Action] = {
    "overview.view": _row(_("opened the overview of"), KEY_MANAGER, OPERATOR, VIEWER, AUDITOR),
    "audit.view": _row(_("opened the audit log of"), AUDITOR),
    "audit.export": _row(_("exported the audit log of"), AUDITOR, facts="format entries filter upto"),
    "settings.view": _row(_("opened the settings")),
    "settings.edit_second_factor": _row(_("set which roles need a second factor in"), facts="roles previous"),
    "settings.edit_reveal": _row(_("set the policy on revealing values of"), facts="policy previous"),
    "region.create": _row(_("created region"), publishes=True, facts="title"),
    #
    "key.view": _row(_("opened key"), KEY_MANAGER, OPERATOR, VIEWER),
    "key.create": _row(_("created key"), KEY_MANAGER, facts="version generated storage trimmed policy"),
    "key.edit": _row(_("edited key"), KEY_MANAGER, facts="changed", shows="description"),
    "key.rotate": _row(_("rotated key"), KEY_MANAGER, publishes=True, facts="version previous overlap_hours holders generated trimmed"),
    "key.roll_back": _row(_("rolled back key"), KEY_MANAGER, publishes=True, facts="version previous overlap_hours holders"),
    "key.disable": _row(_("disabled key"), KEY_MANAGER, publishes=True, facts="holders"),
    "key.enable": _row(_("enabled key"), KEY_MANAGER, publishes=True, facts="holders"),
    "key.delete": _row(_("deleted key"), KEY_MANAGER, facts="versions holders"),
    "key.set_policy": _row(_("set the policy of key"), KEY_MANAGER, publishes=True, facts="before after teams"),
    "key.bind": _row(_("bound key"), OPERATOR),
    "key.move": _row(_("moved every reference of key"), OPERATOR, publishes=True, facts="to holders merged rules moved"),
    "key.reveal": _break_glass(
        _("asked to be shown the value of key"), KEY_MANAGER, facts="version reason public_key approval approved_by"
    ),
    "key.ask_reveal": _break_glass(_("asked a second person to approve revealing key"), KEY_MANAGER, facts="version reason"),
    "key.approve_reveal": _break_glass(_("approved revealing key"), KEY_MANAGER, facts="version person entry"),
    "key.deny_reveal": _break_glass(_("denied revealing key"), KEY_MANAGER, facts="version person entry"),
    #
    "consumer.view": _row(_("opened consumer"), KEY_MANAGER, OPERATOR, VIEWER),
    "consumer.create": _row(_("created consumer"), OPERATOR, publishes=True, facts="policy generation source key enabled trimmed " + _JWT),
    "consumer.edit": _row(
        _("edited consumer"), OPERATOR, publishes=True, facts="changed source " + _JWT, shows="description source", hides="tokens"
    ),
    "consumer.switch_method": _row(
        _("switched the authentication method of consumer"),
        OPERATOR,
        publishes=True,
        facts="policy source released generation key trimmed " + _JWT,
    ),
    "consumer.rotate_jwt": _row(_("rotated the shared secret of consumer"), OPERATOR, publishes=True, facts="version overlap_hours"),
    "consumer.add_credential": _row(
        _("added a credential to consumer"), OPERATOR, publishes=True, facts="policy credential generation key trimmed"
    ),
    "consumer.edit_credential": _row(
        _("changed a credential of consumer"), OPERATOR, publishes=True, facts="policy credential generation key released trimmed"
    ),
    "consumer.rotate": _row(
        _("rotated a credential of consumer"), OPERATOR, publishes=True, facts="credential version generated overlap_hours trimmed"
    ),
    "consumer.remove_credential": _row(
        _("removed a credential of consumer"), OPERATOR, publishes=True, facts="credential generation released"
    ),
    "consumer.disable": _row(_("disabled consumer"), OPERATOR, publishes=True),
    "consumer.enable": _row(_("enabled consumer"), OPERATOR, publishes=True),
    "consumer.delete": _row(_("deleted consumer"), OPERATOR, publishes=True, facts="released services"),
    #
    "instance.view": _row(_("opened instance"), KEY_MANAGER, OPERATOR, VIEWER),
    "instance.create": _row(_("created instance"), OPERATOR, publishes=True, facts="version"),
    "instance.upgrade": _row(_("upgraded instance"), OPERATOR, publishes=True, facts="version previous", shows="version"),
    "instance.delete": _row(_("deleted instance"), OPERATOR, publishes=True, facts="services nodes grants"),
    "node.remove": _row(_("removed node"), OPERATOR, publishes=True, facts="instance"),
    #
    "service.view": _row(_("opened service"), KEY_MANAGER, OPERATOR, VIEWER),
    "service.create": _row(
        _("created service"),
        OPERATOR,
        publishes=True,
        facts="policy instance supplier address bot_type header apps generation keys trimmed",
    ),
    "service.edit": _row(
        _("edited service"),
        OPERATOR,
        publishes=True,
        facts="policy instance changed supplier address bot_type header apps generation keys released trimmed",
        shows="supplier protocol address bot_type header",
        hides="keys",
    ),
    "service.delete": _row(_("deleted service"), OPERATOR, publishes=True, facts="instance released consumers rules"),
    "service.require_authentication": _row(
        _("turned on consumer authentication of service"), OPERATOR, publishes=True, facts="instance method"
    ),
    "service.open": _row(_("turned off consumer authentication of service"), OPERATOR, publishes=True, facts="instance"),
    "service.authorize": _row(_("authorized consumers on service"), OPERATOR, publishes=True, facts="instance consumers"),
    "service.revoke": _row(_("revoked a consumer's authorization on service"), OPERATOR, publishes=True, facts="instance consumers"),
    #
    "service.test": _row(_("tested the connection of service"), OPERATOR, facts="instance address key path public_key"),
    "service.call": _system(_("called the back end of"), facts="person entry result status milliseconds"),
    #
    "mcp.view": _row(_("opened MCP service"), KEY_MANAGER, OPERATOR, VIEWER),
    "mcp.create": _row(
        _("created MCP service"), OPERATOR, publishes=True, facts="instance address transport path message_path consumer_authentication"
    ),
    "mcp.edit": _row(
        _("edited MCP service"),
        OPERATOR,
        publishes=True,
        facts="policy instance changed address transport path message_path",
        shows="address transport path message_path",
    ),
    "mcp.test": _row(_("tested the connection of MCP service"), OPERATOR, facts="instance address key path public_key"),
    "mcp.delete": _row(_("deleted MCP service"), OPERATOR, publishes=True, facts="instance released consumers rules"),
    "mcp.configure_backend_auth": _row(
        _("configured the backend authentication of MCP service"),
        OPERATOR,
        publishes=True,
        facts="policy instance header prefix generation key released trimmed",
    ),
    "mcp.remove_backend_auth": _row(
        _("turned off the backend authentication of MCP service"), OPERATOR, publishes=True, facts="instance released"
    ),
    "mcp.require_authentication": _row(
        _("turned on consumer authentication of MCP service"), OPERATOR, publishes=True, facts="instance method"
    ),
    "mcp.open": _row(_("turned off consumer authentication of MCP service"), OPERATOR, publishes=True, facts="instance"),
    "mcp.authorize": _row(_("authorized consumers on MCP service"), OPERATOR, publishes=True, facts="instance consumers"),
    "mcp.revoke": _row(_("revoked a consumer's authorization on MCP service"), OPERATOR, publishes=True, facts="instance consumers"),
    #
    "plugin.view": _row(_("opened plug-in"), KEY_MANAGER, OPERATOR, VIEWER),
    "plugin.install": _row(_("installed plug-in"), OPERATOR, publishes=True, facts="instance"),
    "plugin.uninstall": _row(_("uninstalled plug-in"), OPERATOR, publishes=True, facts="instance rules released"),
    "rule.write": _row(
        _("wrote the rule of"), OPERATOR, publishes=True, facts="policy instance plugin service revision enabled keys released"
    ),
    "rule.restore": _row(
        _("restored the rule of"), OPERATOR, publishes=True, facts="instance plugin service revision restored enabled keys released"
    ),
    "rule.enable": _row(_("enabled the rule of"), OPERATOR, publishes=True, facts="instance plugin service"),
    "rule.disable": _row(_("disabled the rule of"), OPERATOR, publishes=True, facts="instance plugin service"),
    "rule.delete": _row(_("deleted the rule of"), OPERATOR, publishes=True, facts="instance plugin service released"),
    "custom_plugin.create": _row(_("created custom plug-in"), OPERATOR, publishes=True, facts="version phase priority"),
    "custom_plugin.edit": _row(
        _("edited custom plug-in"),
        OPERATOR,
        publishes=True,
        facts="policy changed version phase priority",
        shows="description phase priority",
        hides="source schema",
    ),
    "custom_plugin.delete": _row(_("deleted custom plug-in"), OPERATOR, publishes=True, facts="version"),
    #
    "user.view": _row(_("opened person")),
    "user.create": _row(_("created user"), facts="roles"),
    "user.disable": _row(_("disabled person"), facts="revoked_tokens"),
    "user.enable": _row(_("enabled person")),
    "user.delete": _row(_("deleted person"), facts="roles teams"),
    "account.view": _row(_("opened the account page"), EVERYBODY),
    "user.sign_in": _row(_("signed in"), EVERYBODY, facts="methods"),
    "user.sign_out": _row(_("signed out"), EVERYBODY),
    "user.confirm": _row(_("confirmed who is there"), EVERYBODY, facts="methods"),
    "user.change_password": _row(_("changed the password"), EVERYBODY, facts="revoked_tokens"),
    "user.give_factor": _row(_("gave a second factor"), EVERYBODY),  # written down when it is refused
    "user.add_factor": _row(_("added a second factor"), EVERYBODY, facts="factor name"),
    "user.rename_factor": _row(_("renamed a second factor"), EVERYBODY, facts="factor name"),
    "user.remove_factor": _row(_("removed a second factor"), EVERYBODY, facts="factor name count"),
    "user.make_recovery_codes": _row(_("made new recovery codes"), EVERYBODY, facts="count"),
    "user.use_recovery_code": _row(_("used a recovery code"), EVERYBODY, facts="left"),
    "user.end_session": _row(_("ended sessions"), EVERYBODY, facts="sessions"),
    "user.edit_theme": _row(_("changed the theme"), EVERYBODY, facts="theme"),
    #
    "team.view": _row(_("opened team")),
    "team.create": _row(_("created team")),
    "team.edit": _row(_("edited team"), facts="changed name", shows="name description"),
    "team.delete": _row(_("deleted team"), facts="roles members"),
    "team.add_member": _row(_("added a person to team"), facts="member roles"),
    "team.remove_member": _row(_("removed a person from team"), facts="member roles"),
    "invitation.view": _row(_("opened the invitations")),
    "invitation.create": _row(_("invited"), facts="role scope"),
    "invitation.revoke": _row(_("revoked the invitation of")),
    "invitation.accept": _row(_("accepted the invitation of"), EVERYBODY, facts="role scope member"),
    "token.view": _row(_("opened the API tokens")),
    "token.create": _row(_("made API token"), KEY_MANAGER, OPERATOR, VIEWER, AUDITOR, facts="permissions days networks"),
    "token.revoke": _row(_("revoked API token"), EVERYBODY),
    "role.view": _row(_("opened the roles"), EVERYBODY),
    "role.grant": _row(_("gave a role to"), facts="role scope"),
    "role.revoke": _row(_("took a role from"), facts="role scope"),
    #
    "user.reset_password": _system(_("gave a new password to"), facts="revoked_tokens"),
    "user.sync_roles": _system(_("took over the groups of"), facts="given taken"),
    "token.use": _system(_("presented an API token")),
    "deployment.create": _system(_("set up the deployment"), facts="kms_instance master_key"),
    "key.show": _system(_("handed over the value of key"), facts="version person entry"),
    "node.join": _system(_("joined node"), facts="instance listen", publishes=True),
    "node.connect": _system(_("heard from node"), facts="instance turns"),
    "node.disconnect": _system(_("lost node"), facts="instance turns"),
    "node.refuse": _system(_("refused a change on node"), facts="instance type reason seq"),
    "snapshot.refuse": _system(_("refused to publish to"), facts="reason seq"),
    "reference.repair": _system(_("repaired the references of region"), facts="recounted orphans", publishes=True),
    "audit.repeat": _system(_("was refused again"), facts="action count minute targets unlisted"),
    "audit.verify": _system(_("checked the audit log of"), facts="verdict upto why"),
    "audit.checkpoint": _system(_("wrote checkpoints of the audit log of"), facts="count upto head"),
    "audit.archive": _system(_("archived the oldest entries of"), facts="first upto archive file_digest"),
    "audit.miss_checkpoint": _system(_("could not write a checkpoint of the audit log of"), facts="why upto"),
}


def permissions_of(role: str, scope: Scope = EVERYWHERE) -> frozenset[str]:
    """What a role gives where it is held: for a region nothing of the deployment's, for an instance nothing of the region's but a view."""
    depth = _DEPTH[INSTANCE if scope.instance else REGION if scope.region else DEPLOYMENT]
    held = (name for name, action in ACTIONS.items() if role in action.roles)
    return frozenset(name for name in held if _DEPTH[level_of(name)] >= depth or name in SHARED)


def grantable(role: str, scope: Scope) -> frozenset[str]:
    """What whoever gives a role there must hold there. Break-glass is no owner's, so that nobody has it by their own hand: owners give it
    to others all the same."""
    return frozenset(name for name in permissions_of(role, scope) if OWNER in ACTIONS[name].roles)


def is_everybodys(permission: str) -> bool:
    """Whoever is signed in has it, with roles or without."""
    return permission in ACTIONS and EVERYBODY in ACTIONS[permission].roles


def counts_in(permission: str, where: Scope) -> bool:
    """Whether a right held at one instance of a region counts there: what the region shares is seen from each of its instances."""
    return permission in SHARED and where.region is not None and where.instance is None


def who_may(permission: str) -> list[Promise]:
    """The labels of the roles that hold a permission, for "Needs Key manager". The owner is left out while somebody lesser may."""
    holders = [role for role in ROLES if role in ACTIONS[permission].roles]
    return [ROLES[role][0] for role in holders if role != OWNER or holders == [OWNER]]

from secrets_app.models.audit import AuditEntry, AuditHead
from secrets_app.models.deeds import Planned, deed
from secrets_app.models.epoch import SealedEpoch
from secrets_app.models.errand import Errand
from secrets_app.models.grant import RoleGrant
from secrets_app.models.identity import Identity
from secrets_app.models.invitation import Invitation
from secrets_app.models.key import Key
from secrets_app.models.reference import Reference
from secrets_app.models.refusals import RefusalTally
from secrets_app.models.region import Deployment, KmsInstance, MasterKey, Region
from secrets_app.models.team import Membership, Team
from secrets_app.models.token import ApiToken
from secrets_app.models.user import User
from secrets_app.models.version import KeyVersion
from secrets_app.models.watch import AuditWatch

__all__ = [
    "ApiToken",
    "AuditEntry",
    "AuditHead",
    "AuditWatch",
    "Deployment",
    "Errand",
    "Identity",
    "Invitation",
    "Key",
    "KeyVersion",
    "KmsInstance",
    "MasterKey",
    "Membership",
    "Planned",
    "Reference",
    "RefusalTally",
    "Region",
    "RoleGrant",
    "SealedEpoch",
    "Team",
    "User",
    "deed",
]

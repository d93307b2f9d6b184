"""Who of those that signed a token may call a service: told by a claim, and only in a token that the consumer's own keys vouch for."""

import re
from collections.abc import Iterable

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation as Mutation
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.rbac.v3.rbac_pb2 import Permission, Policy, Principal
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation, Mutations
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.filters.http.set_metadata.v3.set_metadata_pb2 import Config as SetMetadata
from envoy.extensions.filters.http.set_metadata.v3.set_metadata_pb2 import Metadata
from envoy.type.matcher.v3.metadata_pb2 import MetadataMatcher
from envoy.type.matcher.v3.number_pb2 import DoubleMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.matcher.v3.value_pb2 import OrMatcher, ValueMatcher

from gateway.compile.tokens import Bearer
from gateway.compile.wire import packed
from gateway.inventory import Jwt
from gateway.names import IDENTITY_HEADER, METADATA

_VOUCHED = "envoy.filters.http.jwt_authn"  # where Envoy notes what it read in a token
_CHECKED = "envoy.filters.http.rbac"  # and whose it was
_PREFIX = "consumers_"
_LARGEST_WHOLE = 2**53  # that a number of JSON can hold to the last digit


def checking(bearers: Iterable[Bearer]) -> list[TypedExtensionConfig]:
    """Who of those that signed a token may call, and its name on its way to the access log. Names both versions of a secret, so that a
    rotation changes nothing here."""
    policies = {name: _policy(provider, bearer.jwt) for bearer in bearers for name, provider in bearer.policies}
    check = RBAC(rules=rbac_pb2.RBAC(action=rbac_pb2.RBAC.ALLOW, policies=policies), rules_stat_prefix=_PREFIX)
    told = HeaderValue(key=IDENTITY_HEADER, value=f"%DYNAMIC_METADATA({_CHECKED}:{_PREFIX}enforced_effective_policy_id)%")
    telling = Mutation(append=HeaderValueOption(header=told, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD))
    return [
        _noting("asks", "token"),  # for the answer to whoever does not pass
        TypedExtensionConfig(name="check", typed_config=packed(check)),
        _noting("asks", ""),
        TypedExtensionConfig(name="tell", typed_config=packed(HeaderMutation(mutations=Mutations(request_mutations=[telling])))),
    ]


def _noting(key: str, value: str) -> TypedExtensionConfig:
    note = Metadata(metadata_namespace=METADATA, allow_overwrite=True)
    note.value.update({key: value})
    return TypedExtensionConfig(name=f"note {key}", typed_config=packed(SetMetadata(metadata=[note])))


def _policy(provider: str, jwt: Jwt) -> Policy:
    path = [MetadataMatcher.PathSegment(key=provider), MetadataMatcher.PathSegment(key=jwt.claim)]
    said = MetadataMatcher(filter=_VOUCHED, path=path, value=_claimed(jwt.value))
    return Policy(permissions=[Permission(any=True)], principals=[Principal(metadata=said)])


def _claimed(value: str) -> ValueMatcher:
    """As text, or as the number that it is written like."""
    text = ValueMatcher(string_match=StringMatcher(exact=value))
    whole = int(value) if re.fullmatch(r"0|[1-9][0-9]{0,15}", value) else _LARGEST_WHOLE
    if whole >= _LARGEST_WHOLE:
        return text
    number = ValueMatcher(double_match=DoubleMatcher(exact=float(whole)))
    return ValueMatcher(or_match=OrMatcher(value_matchers=[text, number]))

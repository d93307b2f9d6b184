"""The messages that mappings of plugins name by "@type". Importing them makes them known."""

from envoy.extensions.filters.http.api_key_auth.v3 import api_key_auth_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.header_to_metadata.v3 import header_to_metadata_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2 as jwt_authn_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.set_metadata.v3 import set_metadata_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from xds.type.v3 import typed_struct_pb2

__all__ = [
    "api_key_auth_pb2",
    "cors_pb2",
    "credential_injector_pb2",
    "ext_authz_pb2",
    "generic_pb2",
    "header_mutation_pb2",
    "header_to_metadata_pb2",
    "jwt_authn_pb2",
    "rbac_pb2",
    "set_metadata_pb2",
    "typed_struct_pb2",
]

"""The kinds of resources this control plane has. No protobuf is imported, so anything may name them."""

_PREFIX = "type.googleapis.com/envoy."

SECRET = _PREFIX + "extensions.transport_sockets.tls.v3.Secret"
CLUSTER = _PREFIX + "config.cluster.v3.Cluster"
ENDPOINT = _PREFIX + "config.endpoint.v3.ClusterLoadAssignment"
EXTENSION = _PREFIX + "config.core.v3.TypedExtensionConfig"
LISTENER = _PREFIX + "config.listener.v3.Listener"
ROUTE = _PREFIX + "config.route.v3.RouteConfiguration"

# Make before break: what is referred to is sent before what refers to it, and taken away after it
# (xDS protocol, "Eventual consistency considerations").
ORDER = (SECRET, CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE)

SHORT = {SECRET: "SDS", CLUSTER: "CDS", ENDPOINT: "EDS", EXTENSION: "ECDS", LISTENER: "LDS", ROUTE: "RDS"}

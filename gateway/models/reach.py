"""Addresses that the gateways are to call, against those that they and the console have themselves."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from gateway.address import Address, is_ours, parse_address
from gateway.models.base import refuse
from gateway.models.node import Node
from secrets_app.errors import Invalid


def leads_here(address: str) -> bool:
    """Asked before a deed begins: it may wait for a name server."""
    try:
        return is_ours(parse_address(address), {settings.WEB_PORT, settings.XDS_PORT, *Node.listen_ports()})
    except Invalid:
        return False  # refused for what it is, with everything else that is wrong


def check_address(address: str, ours: bool, errors: dict[str, list[str]]) -> Address:
    """`ours` as leads_here said. Raises Invalid with `errors` and what is wrong with the address, if anything is."""
    if ours:
        errors = errors | {"address": [str(_("This is the console's, the control plane's or a gateway's own address."))]}
    try:
        parsed = parse_address(address)
    except Invalid as refused:
        errors = errors | refused.errors
    refuse(errors)
    return parsed

"""The lines that pages tell people to run. A console on another data folder or port says so in them, or they would reach another one."""

import shlex

from django.conf import settings

_XDS_PORT = 18000  # where run_xds listens, and run_gateway looks for it, when nothing else is said


def create_user() -> str:
    return _line("create_user NAME --role viewer")


def change_password() -> str:
    return _line("changepassword NAME")


def run_xds() -> str:
    return _line("run_xds" + (f" --port {settings.XDS_PORT}" if settings.XDS_PORT != _XDS_PORT else ""))


def run_gateway(instance: str, name: str, port: int) -> str:
    elsewhere = f" --xds 127.0.0.1:{settings.XDS_PORT}" if settings.XDS_PORT != _XDS_PORT else ""
    return _line(f"run_gateway --instance {instance} --name {name} --port {port}{elsewhere}")


def _line(command: str) -> str:
    elsewhere = f" --data-dir {shlex.quote(str(settings.DATA_DIR))}" if settings.DATA_DIR != settings.BASE_DIR / "var" else ""
    return f"uv run manage.py {command}{elsewhere}"

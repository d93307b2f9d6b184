"""The rules of the house, held by looking at its source: which way imports point, where values are opened, what every address declares."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from console.middleware import methods_of
from console.stylesheet import FILES
from secrets_app.access import ACTIONS, ROLES, SYSTEM
from secrets_app.actor import PROCESSES

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = {"secrets_app": 0, "gateway": 1, "console": 2}
SOURCES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py") if "migrations" not in file.parts)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
README = (ROOT / "README.md").read_text()

# Where a value in the clear is taken out of its wrapper. README's "Where plaintext lives" names what each of them is for.
EXPOSING = {
    "console/once.py",  # the answer to the post that made a generated value
    "gateway/compile/credentials.py",  # what callers present
    "gateway/compile/markers.py",  # what plugins let callers present, and what they send
    "gateway/compile/secrets.py",  # what services send
    "gateway/xds/trials.py",  # the one call of a test
    "gateway/compile/tokens.py",  # what callers sign their tokens with
    "secrets_app/broker.py",  # for one person, who has to say why; sealed at once to that request
    "secrets_app/envelope.py",  # sealing
    "secrets_app/fingerprint.py",
}
WRITING = {
    "secrets_app/models/deeds.py",
    "secrets_app/models/refusals.py",
    "gateway/models/node.py",  # status rows, which no person makes
}
PUBLIC = {"invitation-accept", "sign-in", "sign-in-second-factor", "sso", "sso-callback", "sign-out", "healthz", "readyz", "stylesheet"}
FOLDERS = {
    "plugin": "plugins",
    "key": "keys",
    "consumer": "consumers",
    "instance": "instances",
    "service": "services",
    "region": "regions",
    "audit": "audit",
}


def where(file: Path) -> str:
    return str(file.relative_to(ROOT))


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where(file)} imports relatively"
            yield node.module or ""


def calling(name: str) -> set[str]:
    """The files that call something of that name."""
    return {
        where(file)
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and name == (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
    }


def addresses() -> dict[str, tuple[str, Any]]:
    """Every address of the console by its name: pattern and view."""
    found: dict[str, tuple[str, Any]] = {}

    def walk(patterns: list[URLPattern | URLResolver], before: str) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, before + str(pattern.pattern))
            else:
                assert pattern.name, f"{before}{pattern.pattern} has no name"
                assert pattern.name not in found, f"{pattern.name} is named twice"
                found[pattern.name] = (before + str(pattern.pattern), pattern.callback)

    walk(get_resolver().url_patterns, "")
    return found


@pytest.mark.parametrize("file", SOURCES, ids=where)
def test_imports_point_down(file: Path) -> None:
    floor = ROOMS[file.relative_to(ROOT).parts[0]]
    above = {room for room, height in ROOMS.items() if height > floor}
    assert not {name for name in imported(file) if name.split(".")[0] in above}
    assert not {name for name in imported(file) if name.split(".")[0] == "tests"}


def test_values_are_exposed_where_the_list_says() -> None:
    assert calling("expose") == EXPOSING


def test_sealed_values_are_opened_in_two_places() -> None:
    assert calling("open_sealed") == {"secrets_app/resolver.py", "secrets_app/broker.py"}
    assert calling("unwrapper") == {
        "secrets_app/broker.py",
        "secrets_app/resolver.py",
        "secrets_app/setup.py",
    }  # the latter asks whether it would, and opens nothing
    opening = {"secrets_app.resolver", "secrets_app.broker"}
    users = {where(file) for file in SOURCES if opening & set(imported(file))}
    assert not {user for user in users if user.startswith(("console/", "gateway/models/"))}


def test_one_module_does_the_sealing() -> None:
    assert calling("AESGCM") == {"secrets_app/envelope.py"}


def test_changes_are_made_in_deeds() -> None:
    assert calling("atomic") == WRITING
    assert calling("on_commit") == set()


def test_the_console_never_loads_the_gateways_protocol() -> None:
    """36 MB a web worker, and grpc forbids the fork that gunicorn makes."""
    modules = [where(file).removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in SOURCES]
    web = [name for name in modules if name.split(".")[0] == "console" or name.startswith("gateway.models")]
    code = (
        "import django, importlib, sys; django.setup();"
        f"[importlib.import_module(name) for name in {web!r}];"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'grpc', 'envoy', 'xds', 'udpa'}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_every_address_declares_its_permission() -> None:
    for name, (pattern, view) in addresses().items():
        assert hasattr(view, "permission"), f"{pattern} declares nothing: nobody may open it"
        assert view.permission is None or view.permission in ACTIONS, f"{pattern} needs {view.permission}, which is no action"
        assert (view.permission is None) == (name in PUBLIC), f"{pattern} is open to anybody"
        assert view.permission is None or ACTIONS[view.permission].roles != {SYSTEM}, f"{pattern} needs what no person holds"


def test_one_stem_in_every_place() -> None:
    for name, (_pattern, view) in addresses().items():
        noun, _dash, verb = name.partition("-")
        if noun not in FOLDERS:
            continue
        action = f"{noun}.{verb.replace('-', '_')}"
        if action in ACTIONS:
            assert view.permission == action, name
        elif verb in ("list", "detail"):
            assert view.permission == f"{noun}.view", name
        if "GET" in methods_of(view) and (action in ACTIONS or verb in ("list", "detail")):
            page = ROOT / "templates" / FOLDERS[noun] / f"{verb.replace('-', '_')}.html"
            assert page.exists(), f"{name} has no {where(page)}"
            assert page.with_name(f"_{page.name}").exists(), f"{where(page)} has no part"


def test_every_right_is_asked_for_somewhere() -> None:
    source = "\n".join(file.read_text() for file in SOURCES if where(file) != "secrets_app/access.py")
    for name in (name for name, action in ACTIONS.items() if action.roles != {SYSTEM}):
        assert f'"{name}"' in source, f"{name} is held by roles, and nothing asks for it"


def test_every_setting_is_in_the_readme() -> None:
    read = {
        name
        for file in [*SOURCES, ROOT / "manage.py"]
        for name in re.findall(r"""(?:env|environ|FileAwareEnv\(\))(?:\.\w+\(|\[)\s*["']([A-Z][A-Z0-9_]+)["']""", file.read_text())
        if name != "DJANGO_SETTINGS_MODULE"
    }
    assert len(read) > 10
    assert {name for name in read if f"`{name}`" not in README} == set()


def test_every_role_and_permission_is_in_the_readme() -> None:
    assert {role for role in ROLES if f"**{role}**" not in README} == set()
    held = {name for name, action in ACTIONS.items() if action.roles != {SYSTEM}}
    assert {name for name in held if f"`{name}`" not in README} == set()


def test_every_command_is_in_the_readme() -> None:
    commands = {file.stem for room in ROOMS for file in (ROOT / room / "management" / "commands").glob("[a-z]*.py")} - {"run_demo_backend"}
    assert {name for name in commands if f"`manage.py {name}" not in README and f"`{name}`" not in README} == set()


def test_no_person_can_be_called_like_what_acts_in_the_log() -> None:
    named = {
        node.args[0].value
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Actor", "Actor.system")
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    commands = {file.stem for room in ROOMS for file in (ROOT / room / "management" / "commands").glob("[a-z]*.py")}
    assert len(named) > 8
    assert (named | commands) - PROCESSES == set()


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (r"\bmark_safe\(", {"console/templatetags/ui.py"}),  # our own icons
        (r"csrf_exempt", {"console/api.py"}),  # which reads no cookie
        (r"\bSafeString\(", set()),
        (r"except Exception\b", set()),
        (r"except BaseException\b", {"console/management/commands/up.py"}),  # raises again
        (r"\bTODO\b|\bFIXME\b|\bXXX\b", set()),
        (r"\.raw\(|\.extra\(|RawSQL", set()),
        (r"\*\*request\.", set()),
        (
            r"yaml\.load\(|pickle|\beval\(|\bexec\(|shell=True",
            {"secrets_app/plaintext.py", "secrets_app/channel.py"},
        ),  # refuse to be pickled
    ],
)
def test_what_no_source_holds(pattern: str, allowed: set[str]) -> None:
    assert {where(file) for file in SOURCES if re.search(pattern, file.read_text())} <= allowed


@pytest.mark.parametrize("file", TEMPLATES, ids=where)
def test_no_template_opens_a_door(file: Path) -> None:
    text = file.read_text()
    assert not re.search(r"\|\s*safe\b|safeseq|autoescape off", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "inline script"
    assert not re.search(r"<style|\sstyle=", text), "inline style"
    assert not re.search(r"\s(on[a-z]+|hx-on[^=\s]*)=|hx-(vals|headers)=.?js", text), "inline handler"
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", text), "another site"


def test_every_form_that_posts_carries_its_token() -> None:
    for file in TEMPLATES:
        text = file.read_text()
        for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>|<form\b[^>]*method=\"post\"(?!.*</form>).*", text, re.S):
            assert "csrf_token" in form, where(file)


def test_colours_have_names() -> None:
    for file in [*(ROOT / "static" / "css").rglob("*.css")]:
        if file.name != "tokens.css":
            assert not re.search(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch|oklab)\(", file.read_text()), where(file)
    for file in TEMPLATES:
        assert not re.search(r"(?:fill|stroke|color|stop-color)=\"#", file.read_text()), where(file)


def test_every_stylesheet_of_a_component_is_served() -> None:
    there = {str(file.relative_to(ROOT / "static" / "css")) for file in (ROOT / "static" / "css").rglob("*.css")}
    assert set(FILES) == there

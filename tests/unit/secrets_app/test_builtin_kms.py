import base64
import json
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secrets_app.errors import CannotOpen, CannotSeal, VaultError
from secrets_app.kms import builtin, provider
from secrets_app.kms.builtin import FINGERPRINT_KEY, PRIVATE, PUBLIC, SIGN_IN_KEY, X25519

FILES = {
    PUBLIC: builtin.load_public,
    PRIVATE: builtin.load_private,
    FINGERPRINT_KEY: builtin.load_fingerprint_key,
    SIGN_IN_KEY: builtin.load_sign_in_key,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder" / "kms"
    assert builtin.create_keyring(folder)
    return folder


def refusal(load: Callable[[Path], Any], folder: Path) -> str:
    with pytest.raises(VaultError) as refused:
        load(folder)
    assert type(refused.value) is (CannotOpen if load is builtin.load_private else CannotSeal)
    assert refused.value.__context__ is None or refused.value.__suppress_context__
    return refused.value.message


def add_pair(folder: Path, *, primary: bool) -> str:
    """What a later version of Latchkey does before it rewraps."""
    raw = X25519.make()
    kek_id = X25519.kek_id(X25519.public_of(raw))
    for name, half, key in ((PUBLIC, "public", X25519.public_of(raw)), (PRIVATE, "private", raw)):
        data = json.loads((folder / name).read_text())
        data["keys"][kek_id] = {"kem": "X25519", half: base64.b64encode(key).decode(), "created": "2030-01-01T00:00:00+00:00"}
        if primary:
            data["primary"] = kek_id
        (folder / name).write_text(json.dumps(data))
    return kek_id


def test_a_new_keyring_is_private_and_fits_together(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    public, private = builtin.load_public(folder), builtin.load_private(folder)
    assert public.kek_id == private.kek_id
    assert private.unwrap(public.wrap(b"d" * 32, b"info"), public.kek_id, b"info") == b"d" * 32
    assert len(builtin.load_fingerprint_key(folder)) == 32


def test_the_public_file_holds_nothing_of_the_private_one(folder: Path) -> None:
    [entry] = json.loads((folder / PRIVATE).read_text())["keys"].values()
    assert entry["private"] not in (folder / PUBLIC).read_text()
    assert set(json.loads((folder / PUBLIC).read_text())["keys"].popitem()[1]) == {"kem", "public", "created"}


def test_two_installations_share_nothing(folder: Path, tmp_path: Path) -> None:
    builtin.create_keyring(tmp_path / "other")
    ours, theirs = builtin.check_values(folder), builtin.check_values(tmp_path / "other")
    assert all(ours[name] != theirs[name] for name in ours)


def test_an_existing_keyring_is_never_overwritten(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert not builtin.create_keyring(folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize("lost", [{PRIVATE}, {FINGERPRINT_KEY}, {PRIVATE, FINGERPRINT_KEY}])
def test_a_lost_file_is_not_made_anew(folder: Path, lost: set[str]) -> None:
    for name in lost:
        (folder / name).unlink()
    assert not builtin.create_keyring(folder)
    assert {file.name for file in folder.iterdir()} == set(FILES) - lost
    for name in lost:
        assert "is missing" in refusal(FILES[name], folder)


@pytest.mark.parametrize("made_so_far", [[], [FINGERPRINT_KEY], [FINGERPRINT_KEY, SIGN_IN_KEY], [FINGERPRINT_KEY, SIGN_IN_KEY, PRIVATE]])
def test_a_creation_that_was_killed_is_completed(folder: Path, made_so_far: list[str]) -> None:
    kept = {name: (folder / name).read_bytes() for name in made_so_far}
    for name in set(FILES) - set(made_so_far):
        (folder / name).unlink()
    assert builtin.create_keyring(folder)
    assert {name: (folder / name).read_bytes() for name in made_so_far} == kept
    builtin.compare_private(folder, builtin.check_values(folder))


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    folder, start = tmp_path / "kms", threading.Barrier(8)
    made: list[bool] = []

    def begin() -> None:
        start.wait()
        made.append(builtin.create_keyring(folder))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]
    builtin.compare_private(folder, builtin.check_values(folder))
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES), "no drafts are left"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_with_the_way_out(folder: Path, name: str) -> None:
    (folder / name).unlink()
    message = refusal(FILES[name], folder)
    assert message.startswith(f"{folder / name} is missing.")
    assert f"Put {name} back from the backup of {folder}" in message


@pytest.mark.parametrize("name", FILES)
def test_the_others_load_without_it(folder: Path, name: str) -> None:
    """The web process has no private.json, the control plane neither of the others."""
    (folder / name).unlink()
    for other in set(FILES) - {name}:
        FILES[other](folder)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "not text": lambda content: b"\xff\xfe" + content,
    "another kind of JSON": lambda content: b"[1, 2]",
    "a number": lambda content: b"7",
    "twice": lambda content: content * 2,
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_and_not_shown(folder: Path, name: str, damage: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(DAMAGE[damage](content))
    assert f"{folder / name} is damaged" in refusal(FILES[name], folder)


def test_the_error_of_parsing_does_not_hang_on_the_refusal(folder: Path) -> None:
    """A JSONDecodeError carries the document."""
    file = folder / PRIVATE
    content = file.read_text()
    [entry] = json.loads(content)["keys"].values()
    file.write_text(content[:-4])
    with pytest.raises(CannotOpen) as refused:
        builtin.load_private(folder)
    assert refused.value.__context__ is None
    shown = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
    shown = shown.replace(repr(content), "").replace(repr(entry), "")  # this test's own locals
    assert entry["private"] not in shown


EDITS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "a newer format": lambda data, half: data.update(format=2),
    "no format": lambda data, half: data.pop("format"),
    "no keys": lambda data, half: data.update(keys={}),
    "a primary that is not there": lambda data, half: data.update(primary="0" * 16),
    "a primary that is no name": lambda data, half: data.update(primary=["x"]),
    "an unknown KEM": lambda data, half: _only(data).update(kem="ROT13"),
    "a short key": lambda data, half: _only(data).update({half: base64.b64encode(b"k" * 31).decode()}),
    "not base64": lambda data, half: _only(data).update({half: "?" + _only(data)[half]}),
    "another key under this id": lambda data, half: _only(data).update({half: base64.b64encode(X25519.public_of(b"k" * 32)).decode()}),
    "a key of low order": lambda data, half: _only(data).update({half: base64.b64encode(bytes(32)).decode()}),
    "another id for this key": lambda data, half: data.update(keys={"f" * 16: _only(data)}, primary="f" * 16),
    "no key": lambda data, half: _only(data).pop(half),
}


def _only(data: dict[str, Any]) -> dict[str, Any]:
    [entry] = data["keys"].values()
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", [PUBLIC, PRIVATE])
def test_a_keyring_that_is_not_whole_is_refused(folder: Path, name: str, edit: str) -> None:
    data = json.loads((folder / name).read_text())
    EDITS[edit](data, name.removesuffix(".json"))
    (folder / name).write_text(json.dumps(data))
    assert "is damaged" in refusal(FILES[name], folder)


def test_a_public_key_of_low_order_is_refused_even_under_its_own_id(folder: Path) -> None:
    kek_id = X25519.kek_id(bytes(32))
    keys = {kek_id: {"kem": "X25519", "public": base64.b64encode(bytes(32)).decode(), "created": ""}}
    (folder / PUBLIC).write_text(json.dumps({"format": 1, "primary": kek_id, "keys": keys}))
    assert "is damaged" in refusal(builtin.load_public, folder)


@pytest.mark.parametrize("name", [PRIVATE, FINGERPRINT_KEY])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_secret_file_that_others_may_touch_is_refused_with_the_command_to_run(folder: Path, name: str, mode: int) -> None:
    (folder / name).chmod(mode)
    assert refusal(FILES[name], folder).endswith(f"Run: chmod 600 '{folder / name}'"), "quoted: the path holds a space"
    (folder / name).chmod(0o600)
    FILES[name](folder)


def test_the_public_file_may_be_read_by_others_and_not_changed(folder: Path) -> None:
    (folder / PUBLIC).chmod(0o644)
    builtin.load_public(folder)
    for mode in (0o664, 0o646):
        (folder / PUBLIC).chmod(mode)
        assert "could change it" in refusal(builtin.load_public, folder)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_place_of_a_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir(mode=0o700)
    assert "cannot be read" in refusal(FILES[name], folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_user_is_refused(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)  # as root, the real thing would be let in
    assert "belongs to the user who runs this process" in refusal(FILES[name], folder)


def test_halves_of_two_keyrings_are_refused(folder: Path, tmp_path: Path) -> None:
    builtin.create_keyring(tmp_path / "other")
    os.replace(tmp_path / "other" / PUBLIC, folder / PUBLIC)
    assert "do not belong together" in refusal(builtin.load_private, folder)


def test_a_damaged_public_half_does_not_keep_the_control_plane_from_opening(folder: Path) -> None:
    (folder / PUBLIC).write_text("{")
    builtin.load_private(folder)


def test_check_values_hold_no_secret(folder: Path) -> None:
    values = builtin.check_values(folder)
    assert values["keyring"] == builtin.load_public(folder).kek_id
    assert {name: len(text) for name, text in values.items()} == {"keyring": 16, "fingerprint": 16}
    assert values["fingerprint"] not in (folder / FINGERPRINT_KEY).read_text()
    builtin.compare_public(folder, values)
    builtin.compare_private(folder, values)


def test_the_keyring_of_another_database_is_refused(folder: Path, tmp_path: Path) -> None:
    known = builtin.check_values(folder)
    builtin.create_keyring(tmp_path / "other")
    with pytest.raises(CannotSeal, match=r"public\.json is not the one this database was set up with"):
        builtin.compare_public(tmp_path / "other", known)
    with pytest.raises(CannotOpen, match=r"private\.json is not the one this database was set up with"):
        builtin.compare_private(tmp_path / "other", known)
    os.replace(tmp_path / "other" / FINGERPRINT_KEY, folder / FINGERPRINT_KEY)
    with pytest.raises(CannotSeal, match=r"fingerprint\.key is not the one this database was set up with"):
        builtin.compare_public(folder, known)


@pytest.mark.parametrize("primary", [True, False])
def test_a_second_pair_is_known_again_and_both_open(folder: Path, primary: bool) -> None:
    known, old = builtin.check_values(folder), builtin.load_public(folder)
    wrapped = old.wrap(b"d" * 32, b"info")
    new = add_pair(folder, primary=primary)
    public, private = builtin.load_public(folder), builtin.load_private(folder)
    assert public.kek_id == private.kek_id == (new if primary else old.kek_id)
    assert public.kek_ids == private.kek_ids == {old.kek_id, new}
    assert private.unwrap(wrapped, old.kek_id, b"info") == b"d" * 32
    assert private.unwrap(public.wrap(b"e" * 32, b"info"), public.kek_id, b"info") == b"e" * 32
    with pytest.raises(CannotOpen):
        private.unwrap(wrapped, new, b"info")
    builtin.compare_public(folder, known)
    builtin.compare_private(folder, known)


def test_repr_shows_ids_only(folder: Path) -> None:
    for half in (builtin.load_public(folder), builtin.load_private(folder)):
        assert "X25519" not in repr(half)
        assert half.kek_id in repr(half)


def test_a_provider_is_found_by_the_scheme_of_its_uri() -> None:
    assert provider("builtin:") is builtin
    for uri in ("", "vault:transit", "BUILTIN:"):
        with pytest.raises(CannotSeal, match="There is no KMS provider"):
            provider(uri)

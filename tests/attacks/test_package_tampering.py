"""Packages that somebody changed, replayed or put together: none becomes a release."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.packages.workbench import (
    PROJECT,
    SCOPE,
    Workbench,
    entry,
    everything,
    link,
    noise,
    segment_of,
    unchecked,
)
from turnout.base.errors import InvalidInput, TurnoutError, Untrusted
from turnout.keys.keyring import Keyring
from turnout.packages import codec
from turnout.packages.hosting import HostReleases
from turnout.packages.manifest import Manifest
from turnout.packages.package import Package, write_package
from turnout.packages.placement import Placement
from turnout.packages.segments import Part, Segment, pack

FILES = {"index.html": b"<h1>hello</h1>" * 50, "a.bin": noise(3000), "b.bin": noise(3000, 1)}


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def refused(bench: Workbench, package: Package | bytes, words: str | None = None) -> None:
    """The package is refused, and the host is as if it had never come."""
    before = everything(bench.root / "host")
    with pytest.raises(Untrusted, match=words):
        bench.receive(package)
    assert everything(bench.root / "host") == before
    assert bench.host.held() == []


def forged(bench: Workbench, manifest: Manifest, segments: Iterable[Segment]) -> Package:
    """A package as a server with stolen keys would seal it: all codes and signatures are right."""
    bench.version += 1
    return write_package(
        bench.root / "forged.pkg", bench.keyring, SCOPE, bench.version, manifest, segments
    )


def test_every_changed_byte_is_found(bench: Workbench) -> None:
    package = bench.seal(bench.release("site", FILES)).path.read_bytes()
    places = [
        *range(0, 1600, 7),
        *range(1600, len(package), 97),
        *range(len(package) - 33, len(package)),
    ]
    for at in places:
        refused(bench, package[:at] + bytes([package[at] ^ 1]) + package[at + 1 :])
    bench.receive(package)


def test_a_package_that_is_cut_anywhere_is_refused(bench: Workbench) -> None:
    package = bench.seal(bench.release("site", FILES)).path.read_bytes()
    for size in [*range(0, 1600, 11), *range(1600, len(package), 101), len(package) - 1]:
        refused(bench, package[:size])


def test_a_package_that_goes_on_is_refused(bench: Workbench) -> None:
    package = bench.seal(bench.release("site", FILES)).path.read_bytes()
    refused(bench, package + b"x", "followed")


@given(st.binary(max_size=400))
def test_noise_is_refused(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        host = HostReleases(Path(directory) / "host")
        with pytest.raises(Untrusted):
            host.receive(io.BytesIO(b"TPKG\x01\0\0\0" + data), bytes(32), "ab" * 32, SCOPE)


def test_a_trailer_from_another_package_is_refused(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    first, second = (bench.seal(release).path.read_bytes() for _ in range(2))
    refused(bench, first[:-32] + second[-32:], "not the one that was placed")


def test_the_body_of_another_run_is_refused(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    one, two = bench.seal(release), bench.seal(release)
    first, second = one.path.read_bytes(), two.path.read_bytes()
    head = 12 + len(one.placement)
    assert len(one.placement) == len(two.placement)
    refused(bench, first[:head] + second[head:])
    refused(bench, second[:head] + first[head:-32] + second[-32:])


def test_the_envelope_length_is_not_a_way_to_memory(bench: Workbench) -> None:
    refused(bench, b"TPKG\x01\0\0\0\xff\xff\xff\xff" + bytes(100), "too long")


def test_another_environments_key_opens_nothing(bench: Workbench) -> None:
    package = bench.seal(bench.release("site", FILES)).path.read_bytes()
    other = bench.keyring.environment_key("shop/staging")
    with pytest.raises(Untrusted, match="cannot be opened"):
        bench.host.receive(io.BytesIO(package), other, bench.keyring.public_key, SCOPE)


def test_another_environments_package_is_refused(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    package = bench.store.seal(PROJECT, release, "shop/staging", 1)
    key = bench.keyring.environment_key("shop/staging")
    with pytest.raises(Untrusted, match="another environment or release"):
        bench.host.receive(package.path.open("rb"), key, bench.keyring.public_key, SCOPE)


def test_another_release_than_asked_for_is_refused(bench: Workbench) -> None:
    package = bench.seal(bench.release("site", FILES))
    key = bench.keyring.environment_key(SCOPE)
    with pytest.raises(Untrusted, match="another environment or release"):
        bench.host.receive(package.path.open("rb"), key, bench.keyring.public_key, SCOPE, "0" * 64)


def test_another_server_is_not_believed(bench: Workbench, tmp_path: Path) -> None:
    """It has the environment's key, but not the signing key."""
    package = bench.seal(bench.release("site", FILES)).path.read_bytes()
    other = Keyring.open(tmp_path / "other-keys")
    with pytest.raises(Untrusted, match="not signed"):
        bench.host.receive(
            io.BytesIO(package), bench.keyring.environment_key(SCOPE), other.public_key, SCOPE
        )


def test_a_placement_with_another_key_inside_is_refused(bench: Workbench) -> None:
    """Signed, but the package's code was made with another environment's key."""
    package = bench.seal(bench.release("site", FILES))
    data = package.path.read_bytes()
    statement = Placement(**json.loads(_payload(package.placement)))
    forged_statement = dataclasses.replace(statement, package_mac="0" * 64)
    envelope = forged_statement.sign(bench.keyring.signer)
    refused(bench, data[:12] + envelope + data[12 + len(envelope) :], "not the one that was placed")


@pytest.mark.parametrize(
    "field,value",
    [
        ("version", 0), ("version", -1), ("version", True), ("version", "7"), ("version", 1.5),
        ("version", 2**60), ("project", "../x"), ("environment", ""), ("release", "0"),
        ("release", None), ("wrapped_key", "00"), ("package_mac", "zz" * 32), ("extra", 1),
    ],
)  # fmt: skip
def test_a_signed_placement_is_still_checked(bench: Workbench, field: str, value: object) -> None:
    from turnout.keys import signing
    from turnout.packages import placement

    statement = json.loads(_payload(bench.seal(bench.release("site", FILES)).placement))
    payload = json.dumps({**statement, field: value}).encode()
    envelope = signing.sign_statement(bench.keyring.signer, placement.PAYLOAD_TYPE, payload)
    with pytest.raises(Untrusted, match="does not understand"):
        placement.verify(envelope, bench.keyring.public_key)


def test_an_older_placement_is_a_replay(bench: Workbench) -> None:
    old, new = bench.release("old", FILES), bench.release("new", {"a": b"1"})
    first, second = bench.seal(old), bench.seal(new)
    bench.receive(second)
    for host in (bench.host, HostReleases(bench.root / "host")):
        with pytest.raises(Untrusted, match="older"):
            bench.receive(first, host)
    assert bench.host.held() == [new]


def test_an_equal_version_is_for_the_same_release_only(bench: Workbench) -> None:
    old, new = bench.release("old", FILES), bench.release("new", {"a": b"1"})
    first = bench.store.seal(PROJECT, old, SCOPE, 5)
    second = bench.store.seal(PROJECT, new, SCOPE, 5)
    bench.receive(first)
    bench.receive(first)
    bench.receive(bench.store.seal(PROJECT, old, SCOPE, 5, []))
    with pytest.raises(Untrusted, match="older"):
        bench.receive(second)
    bench.receive(bench.store.seal(PROJECT, new, SCOPE, 6))


def test_a_refused_package_does_not_use_up_its_version(bench: Workbench) -> None:
    package = bench.seal(bench.release("site", FILES)).path.read_bytes()
    refused(bench, package[:-1] + bytes([package[-1] ^ 1]))
    bench.receive(package)


def test_versions_are_counted_for_each_environment(bench: Workbench) -> None:
    release = bench.release("site", FILES)
    bench.receive(bench.store.seal(PROJECT, release, SCOPE, 9))
    staging = bench.store.seal(PROJECT, release, "shop/staging", 1)
    key = bench.keyring.environment_key("shop/staging")
    bench.host.receive(staging.path.open("rb"), key, bench.keyring.public_key, "shop/staging")


# What follows is sealed and signed with the right keys: the last line of defence.


def test_a_manifest_of_another_release_is_refused(bench: Workbench) -> None:
    manifest = unchecked(entry("a", b"1"))
    lying = unchecked(entry("b", b"1"))
    lying.__dict__["release"] = manifest.release
    refused(bench, forged(bench, lying, []), "manifest of another release")


def test_a_file_that_the_manifest_does_not_name_is_refused(bench: Workbench) -> None:
    manifest = unchecked(entry("a", b"1"))
    refused(bench, forged(bench, manifest, [segment_of(b"1", b"extra")]), "does not name")


def test_a_file_that_is_lacking_is_refused(bench: Workbench) -> None:
    manifest = unchecked(entry("a", b"1"), entry("b", b"2"))
    refused(bench, forged(bench, manifest, [segment_of(b"1")]), "lacks a file")


def test_a_file_of_another_content_is_refused(bench: Workbench) -> None:
    good = entry("a", b"good")
    part = Part(bytes.fromhex(good.digest), 0, 4, 4)
    refused(bench, forged(bench, unchecked(good), [pack([part], b"evil")]), "not what the manifest")


def test_swapped_contents_of_two_files_are_refused(bench: Workbench) -> None:
    first, second = entry("a", b"1111"), entry("b", b"2222")
    parts = [Part(bytes.fromhex(e.digest), 0, 4, 4) for e in (first, second)]
    refused(bench, forged(bench, unchecked(first, second), [pack(parts, b"22221111")]))


def test_a_file_in_parts_is_checked_as_a_whole(bench: Workbench) -> None:
    good = entry("a", b"1234")
    digest = bytes.fromhex(good.digest)
    manifest = unchecked(good)
    first, second = Part(digest, 0, 2, 4), Part(digest, 2, 2, 4)
    for parts, plain in (
        ([first, second], b"12xx"),
        ([first], b"12"),
        ([first, first], b"1212"),
        ([second], b"34"),
        ([first, second._replace(size=5)], b"1234"),
    ):
        refused(bench, forged(bench, manifest, [pack(parts, plain)]))
    refused(bench, forged(bench, manifest, [pack([first._replace(size=9)], b"12")]))
    bench.receive(forged(bench, manifest, [pack([second], b"34"), pack([first], b"12")]))


def test_a_bomb_in_a_package_is_refused(bench: Workbench) -> None:
    packed = bytes(codec.compress(bytes(64 << 20))[1])
    good = entry("a", bytes(9000))
    bomb = Segment((Part(bytes.fromhex(good.digest), 0, 9000, 9000),), codec.ZSTD, 9000, packed)
    refused(bench, forged(bench, unchecked(good), [bomb]), "another size")


@pytest.mark.parametrize("path", ["../escape", "/tmp/escape", "a/../../escape", "a\\..\\b", ""])
def test_a_signed_traversal_is_refused(bench: Workbench, path: str) -> None:
    manifest = unchecked(entry(path, b"1"))
    before = everything(bench.root)
    with pytest.raises(InvalidInput):
        bench.receive(forged(bench, manifest, [segment_of(b"1")]))
    new = [p for p in everything(bench.root) if p not in before]
    assert [p for p in new if not p.startswith("keys/")] == ["forged.pkg"]


def test_a_signed_write_through_a_link_is_refused(bench: Workbench) -> None:
    outside = bench.write("outside", {"victim": b"untouched"})
    for manifest in (
        unchecked(link("a", str(outside)), entry("a/victim", b"evil")),
        unchecked(link("a", "."), entry("a/victim", b"evil")),
        unchecked(link("a", "b"), entry("a/victim", b"evil"), link("b", "../../../outside")),
        unchecked(link("victim", str(outside / "victim"))),
        unchecked(link("a", "../../../outside")),
    ):
        with pytest.raises(InvalidInput):
            bench.receive(forged(bench, manifest, [segment_of(b"evil")]))
        assert (outside / "victim").read_bytes() == b"untouched"
        assert bench.host.held() == []


def test_a_link_planted_in_a_held_release_is_not_followed(bench: Workbench) -> None:
    """Somebody with the app's rights swaps a held file for a link to a secret."""
    outside = bench.write("outside", {"secret": b"secret"})
    old = bench.release("old", {"data": b"secret", "d/data": b"secret2"})
    bench.deploy(old)
    tree = bench.host.tree(old)
    (tree / "data").unlink()
    (tree / "data").symlink_to(outside / "secret")
    (tree / "d").rename(bench.root / "moved")
    (tree / "d").symlink_to(bench.root / "moved")
    new = bench.release("new", {"data": b"secret", "d/data": b"secret2", "x": b"1"})

    received = bench.deploy(new)

    assert received.reused_files == 0
    assert bench.host.verify(new) == []
    assert not (bench.host.tree(new) / "data").is_symlink()


def test_a_held_file_changed_in_place_is_not_reused(bench: Workbench) -> None:
    import os

    old = bench.release("old", {"a": b"good", "b": b"x"})
    bench.deploy(old)
    file = bench.host.tree(old) / "a"
    file.write_bytes(b"evil")
    new = bench.release("new", {"a": b"good", "b": b"y"})
    bench.deploy(new)
    assert (bench.host.tree(new) / "a").read_bytes() == b"good"
    assert os.stat(bench.host.tree(new) / "a").st_ino != file.stat().st_ino


def test_a_damaged_release_does_not_hide_a_sound_one(bench: Workbench) -> None:
    releases = [bench.release(f"r{n}", {"a": b"good", "n": b"%d" % n}) for n in range(4)]
    for release in releases[:3]:
        bench.deploy(release)
    tree = bench.host.tree(bench.host.held()[0])
    (tree / "a").unlink()
    (tree / "a").write_bytes(b"evil")
    received = bench.deploy(releases[3])
    assert received.reused_files == 1
    assert bench.host.verify(releases[3]) == []


def test_a_host_that_lost_a_file_meanwhile_is_told_to_ask_again(bench: Workbench) -> None:
    old = bench.release("old", {"a": b"good", "b": b"x"})
    bench.deploy(old)
    new = bench.release("new", {"a": b"good", "b": b"y"})
    package = bench.seal(new, bench.host.missing(bench.store.manifest(PROJECT, new)))
    (bench.host.tree(old) / "a").write_bytes(b"gone")
    with pytest.raises(TurnoutError) as caught:
        bench.receive(package)
    assert "says anew what it lacks" in caught.value.next_step
    assert bench.host.held() == [old]


def _payload(envelope: bytes) -> bytes:
    import base64

    return base64.b64decode(json.loads(envelope)["payload"])

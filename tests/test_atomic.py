"""Files that end whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from flowcli.atomic import replacing, replacing_is_possible, sweep
from flowcli.errors import ResourceError, UsageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_new_file(tmp_path):
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
        assert names(tmp_path) != ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_block_that_fails_leaves_what_was_there(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")

    def fail():
        with replacing(tmp_path / "a") as file:
            file.write(b"half of the new")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_readers_see_the_old_or_the_new_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        with replacing(path) as file:
            file.write(b"new")
            file.flush()
            assert path.read_bytes() == b"old"
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "real")
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "real").read_bytes() == b"new"
    assert names(tmp_path) == ["folder", "link"]


def test_permissions_are_kept(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o640)
    with replacing(tmp_path / "a") as file:
        file.write(b"new")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ResourceError, match="none"), replacing(tmp_path / "none" / "a"):
        pass
    with pytest.raises(UsageError, match="none"):
        replacing_is_possible(tmp_path / "none" / "a")


def test_what_is_possible_leaves_no_trace(tmp_path):
    replacing_is_possible(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"old")
    replacing_is_possible(tmp_path / "b")
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ResourceError):
            replacing_is_possible(tmp_path / "a")
        with pytest.raises(ResourceError), replacing(tmp_path / "a"):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ResourceError, match="No space left"), replacing(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_strays_are_swept_and_nothing_else(tmp_path):
    for name in (".a[1].0123.tmp", ".a[1].flow.tmp", "a[1].tmp", ".b.0123.tmp", ".a1.0123.tmp", "a[1]"):
        (tmp_path / name).write_bytes(b"")
    sweep(tmp_path / "a[1]")
    assert names(tmp_path) == sorted(["a[1].tmp", ".b.0123.tmp", ".a1.0123.tmp", "a[1]"])

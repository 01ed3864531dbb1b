"""Whole or absent: files that appear when complete, failures of the file system, and what killed processes left."""

import io
import os
import subprocess
import sys
import zipfile
from errno import EFBIG, EIO, ENOSPC

import numpy as np
import pytest
from failing_system import FailingSystem

from bayespde.core import files, output_stream
from bayespde.core.errors import FieldError, FileError
from bayespde.core.files import check_writable, existing_file, new_file, read_text, write_text

PREFIX = output_stream.PREFIX


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "a" / "b" / "result.txt"
    with new_file(target) as stream:
        stream.write(b"half")
        assert not target.exists()
        assert stream.path.suffix == ".txt"
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == ["result.txt"]


def test_a_new_file_can_be_read_by_whom_the_mask_allows(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError, FieldError])
def test_after_a_failure_there_is_only_the_old_file(tmp_path, error):
    target = tmp_path / "result.txt"
    target.write_text("old")
    arguments = {"got": 1, "wanted": "2", "fix": "3"} if error is FieldError else {}

    def write():
        with new_file(target) as stream:
            stream.write(b"new")
            raise error("stop", **arguments)

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


LONG = "n" * 300


@pytest.mark.parametrize("name", ["file/result.nc", "folder", f"{LONG}.nc", f"{LONG}/result.nc", "null\0byte.nc", "."])
def test_an_unwritable_path_is_a_file_error_before_any_work(tmp_path, name):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="cannot be written"), new_file(tmp_path / name):
        pytest.fail("the block was entered")
    with pytest.raises(FileError, match="cannot be written"):
        check_writable(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_path_can_be_checked_without_a_trace(tmp_path):
    check_writable(tmp_path / "result.nc")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["", "g", LONG, "null\0byte"])
def test_only_a_file_is_an_existing_file(tmp_path, name):
    (tmp_path / "f").write_text("x")
    assert existing_file(str(tmp_path / "f")) == tmp_path / "f"
    with pytest.raises(FileError, match="cannot be read"):
        existing_file(tmp_path / name)


def test_bytes_that_are_no_text_are_a_file_error(tmp_path):
    (tmp_path / "f").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(FileError, match="cannot be read"):
        read_text(tmp_path / "f")


REMEDIES = {ENOSPC: "free some space", EFBIG: "ulimit -f", EIO: "choose another output folder"}


@pytest.mark.parametrize("number", REMEDIES)
@pytest.mark.parametrize("name", ["open", "write", "ftruncate", "close", "replace"])
def test_every_failure_of_the_file_system_says_what_failed_and_what_to_do(tmp_path, monkeypatch, name, number):
    (tmp_path / "result.nc").write_text("old")
    monkeypatch.setattr(output_stream, "os", FailingSystem(name, number=number))

    def write():
        with new_file(tmp_path / "result.nc") as stream:
            stream.write(b"x" * 2500)
            stream.truncate(2000)

    with pytest.raises(FileError, match="cannot be written") as caught:
        write()
    assert os.strerror(number) in caught.value.got
    assert "free)" in caught.value.got
    assert REMEDIES[number] in caught.value.fix
    assert name == "open" or caught.value.wanted == "2 kB for this file"
    assert os.listdir(tmp_path) == ["result.nc"]
    assert (tmp_path / "result.nc").read_text() == "old"


def test_after_a_failure_the_stream_counts_on_and_is_read_as_zeros(tmp_path, monkeypatch):
    """What HDF5, zip archives and images do with a stream: seek, read back, write in the middle."""
    with new_file(tmp_path / "a") as stream:
        stream.write(b"abcdef")
        stream.seek(-2, os.SEEK_CUR)
        assert stream.read(10) == b"ef"
        stream.seek(2)
        stream.write(b"CD")
        stream.seek(0, os.SEEK_END)
        assert stream.tell() == 6
    assert (tmp_path / "a").read_bytes() == b"abCDef"
    monkeypatch.setattr(output_stream, "os", FailingSystem("write"))
    stream = output_stream.open_temporary(tmp_path, ".npz")
    np.savez(stream, a=np.arange(10))
    assert stream.failure.errno == ENOSPC
    assert stream.size > 80
    stream.seek(0)
    assert stream.read() == bytes(stream.size)
    stream.discard()


def test_an_archive_through_the_stream_is_the_archive(tmp_path):
    with new_file(tmp_path / "a.npz") as stream:
        np.savez(stream, a=np.arange(10))
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None
    assert np.array_equal(np.load(io.BytesIO((tmp_path / "a.npz").read_bytes()))["a"], np.arange(10))


# Killed processes

WRITER = """
import sys
from bayespde.core.files import new_file
with new_file(sys.argv[1]) as stream:
    stream.write(b"part")
    print("open", flush=True)
    sys.stdin.read()
"""


def writer(path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    return process


def temporaries(folder):
    return [p for p in folder.iterdir() if p.name.startswith(PREFIX)]


@pytest.mark.skipif(output_stream.fcntl is None, reason="no locks on this system")
def test_temporary_files_of_killed_processes_are_removed_and_those_of_running_ones_are_not(tmp_path):
    (tmp_path / ".hidden").write_text("of somebody else")
    killed, running = writer(tmp_path / "a"), writer(tmp_path / "b")
    try:
        assert len(temporaries(tmp_path)) == 2
        killed.kill()
        killed.communicate()
        write_text(tmp_path / "c", "text")
        assert len(temporaries(tmp_path)) == 1
        with new_file(tmp_path / "d"), new_file(tmp_path / "e"):
            assert len(temporaries(tmp_path)) == 3
    finally:
        running.communicate("")
    assert sorted(os.listdir(tmp_path)) == [".hidden", "b", "c", "d", "e"]
    assert (tmp_path / "b").read_text() == "part"


def test_where_nothing_can_be_locked_nothing_is_swept(tmp_path, monkeypatch):
    class NoLocks:
        LOCK_EX = LOCK_NB = 0

        @staticmethod
        def flock(*_):
            raise OSError("no locks")

    monkeypatch.setattr(output_stream, "fcntl", NoLocks)
    with new_file(tmp_path / "a"), new_file(tmp_path / "b"):
        assert len(temporaries(tmp_path)) == 2
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_free_space_is_that_of_the_file_system_of_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 3_210_000}))
    error = files.write_error(tmp_path / "a" / "b", OSError(ENOSPC, "full"), 5_000_000_000)
    assert error.got == f"{tmp_path / 'a' / 'b'} (full; 3.21 MB free)"
    assert error.wanted == "5 GB for this file"

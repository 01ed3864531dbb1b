"""Atomic writing and existing files."""

import os

import pytest

from bayespde.core.errors import FieldError, FileError
from bayespde.core.files import atomic_path, existing_file


def test_a_file_appears_only_when_it_is_complete(tmp_path):
    target = tmp_path / "a" / "b" / "result.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == ["result.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, FieldError])
def test_after_a_failure_there_is_only_the_old_file(tmp_path, error):
    target = tmp_path / "result.txt"
    target.write_text("old")
    arguments = {"got": 1, "wanted": "2", "fix": "3"} if error is FieldError else {}

    def write():
        with atomic_path(target) as temporary:
            temporary.write_text("new")
            raise error("stop", **arguments)

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_an_unwritable_path_is_a_file_error_before_any_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot be written"), atomic_path(tmp_path / "file" / "result.nc"):
        pytest.fail("the block was entered")
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_with_the_name_of_the_file_is_a_file_error(tmp_path):
    (tmp_path / "result.nc").mkdir()
    with pytest.raises(FileError, match="cannot be written"), atomic_path(tmp_path / "result.nc"):
        pytest.fail("the block was entered")
    assert os.listdir(tmp_path) == ["result.nc"]


def test_only_a_file_is_an_existing_file(tmp_path):
    (tmp_path / "f").write_text("x")
    assert existing_file(str(tmp_path / "f")) == tmp_path / "f"
    for path in (tmp_path, tmp_path / "g"):
        with pytest.raises(FileError, match="cannot be read"):
            existing_file(path)

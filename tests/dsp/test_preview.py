"""The small copy of the mix: all of it, or an error."""

import errno
import resource

import pytest

from dsp.mixing.render.preview import AHEAD, RATE_HZ, Preview
from tests.support.stems import heard, open_descriptors
from tests.support.tones import in_blocks, noise


@pytest.fixture
def small_disk():
    """A limit of 20 kB on any file until it is lifted: writes fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_preview_is_as_long_as_what_was_put(tmp_path):
    """Whatever the rate: the last blocks are there, too."""
    with Preview(tmp_path / "a.ogg", 48_000) as preview:
        for block in in_blocks(noise(48_000, 5.0, rms_dbfs=-20.0, seed=1), 32_768):
            preview.put(block)

    assert 5 * RATE_HZ == len(heard(tmp_path / "a.ogg"))


def test_full_disk_is_told_of_even_by_the_last_blocks(tmp_path, small_disk):
    """What the encoder could not write is an error, though nobody waited for it, and there is
    room again when the file is closed."""
    before = open_descriptors()
    preview = Preview(tmp_path / "a.ogg", 48_000)
    for block in in_blocks(noise(48_000, 2.0 * AHEAD, rms_dbfs=-20.0, seed=2), 2 * 48_000):
        preview.put(block)
    preview._waiting[-1].exception()
    small_disk()

    with pytest.raises(OSError, match="arge") as caught, preview:
        pass

    assert errno.EFBIG == caught.value.errno
    assert before == open_descriptors()


def test_error_of_the_caller_comes_first(tmp_path, small_disk):
    """A mix that fails for another reason says that one, and the file is closed."""
    before = open_descriptors()

    def failing():
        with Preview(tmp_path / "a.ogg", 48_000) as preview:
            preview.put(noise(48_000, 8.0, rms_dbfs=-20.0, seed=3))
            preview._waiting[-1].exception()
            small_disk()
            preview.put(1 // 0)

    with pytest.raises(ZeroDivisionError):
        failing()

    assert before == open_descriptors()

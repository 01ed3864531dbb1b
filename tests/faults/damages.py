"""The bytes of a file -> the same, damaged as by a bad disk, a broken copy or a stray editor."""


def flip_bit(content, rng):
    place = int(rng.integers(len(content)))
    return _put(content, place, bytes([content[place] ^ (1 << int(rng.integers(8)))]))


def flip_bytes(content, rng):
    for place in rng.integers(len(content), size=int(rng.integers(1, 9))):
        content = _put(content, int(place), bytes([content[place] ^ int(rng.integers(1, 256))]))
    return content


def zero(content, rng):
    start, stop = _stretch(content, rng)
    return _put(content, start, bytes(stop - start))


def zero_to_the_end(content, rng):
    start = int(rng.integers(len(content)))
    return _put(content, start, bytes(len(content) - start))


def noise(content, rng):
    start, stop = _stretch(content, rng)
    return _put(content, start, rng.bytes(stop - start))


def cut(content, rng):
    return content[: int(rng.integers(len(content)))]


def cut_near_the_end(content, rng):
    return content[: -int(rng.integers(1, min(200, len(content))))]


def leave_out(content, rng):
    start, stop = _stretch(content, rng)
    return content[:start] + content[stop:]


def repeat(content, rng):
    start, stop = _stretch(content, rng)
    return content[:stop] + content[start:]


def append(content, rng):
    return content + rng.bytes(int(rng.integers(1, 300)))


def move(content, rng):
    start, stop = _stretch(content, rng)
    return _put(content, int(rng.integers(len(content) - (stop - start) + 1)), content[start:stop])


DAMAGES = (flip_bit, flip_bytes, zero, zero_to_the_end, noise, cut, cut_near_the_end, leave_out, repeat, append, move)


def _put(content, place, part):
    return content[:place] + part + content[place + len(part) :]


def _stretch(content, rng):
    """Start and stop of a stretch, of any order of magnitude."""
    length = min(int(10 ** rng.uniform(0, 5)), len(content))
    start = int(rng.integers(len(content) - length + 1))
    return start, start + length

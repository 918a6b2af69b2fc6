"""FarmHash Fingerprint64, so that a hashed column gets the same bucket in SQL and in TensorFlow.

TensorFlow calls it `tf.strings.to_hash_bucket_fast`, BigQuery `FARM_FINGERPRINT`; DuckDB has no name for it. The
algorithm is published by Google at https://github.com/google/farmhash and fixed for all time.
"""

MASK = (1 << 64) - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def word(data: bytes, start: int, size: int = 8) -> int:
    """Return the little-endian number of `size` bytes at `start`, counted from the end if negative."""
    start += len(data) if start < 0 else 0
    return int.from_bytes(data[start : start + size], "little")


def rotated(value: int, shift: int) -> int:
    value &= MASK
    return (value >> shift | value << (64 - shift)) & MASK


def mixed(value: int) -> int:
    """Return `value` with its high bits folded into the low ones."""
    value &= MASK
    return value ^ value >> 47


def joined(first: int, second: int, factor: int) -> int:
    low = mixed((first ^ second) * factor)
    return mixed((second ^ low) * factor) * factor & MASK


def of_short(data: bytes) -> int:
    """Fingerprint of at most 16 bytes."""
    size = len(data)
    factor = K2 + size * 2
    if size >= 8:
        first, last = word(data, 0) + K2, word(data, -8)
        return joined(
            (rotated(last, 37) * factor + first) & MASK,
            (rotated(first, 25) + last) * factor & MASK,
            factor,
        )
    if size >= 4:
        return joined(size + (word(data, 0, 4) << 3), word(data, -4, 4), factor)
    if size:
        low = data[0] + (data[size >> 1] << 8)
        high = size + (data[-1] << 2)
        return mixed(low * K2 ^ high * K0) * K2 & MASK
    return K2


def pair(data: bytes, left: int, factor: int) -> tuple[int, int]:
    """Return the two halves from which the fingerprint of 17 to 64 bytes is joined."""
    first, second = word(data, 0) * left, word(data, 8)
    third, last = word(data, -8) * factor, word(data, -16) * K2
    return (
        (rotated(first + second, 43) + rotated(third, 30) + last) & MASK,
        (first + rotated(second + K2, 18) + third) & MASK,
    )


def of_medium(data: bytes) -> int:
    """Fingerprint of 17 to 64 bytes."""
    factor = K2 + len(data) * 2
    if len(data) <= 32:
        return joined(*pair(data, K1, factor), factor)
    outer, inner = pair(data, K2, factor)
    hashed = joined(outer, inner, factor)
    third, fourth = word(data, 16) * factor, word(data, 24)
    fifth = (outer + word(data, -32)) * factor
    sixth = (hashed + word(data, -24)) * factor
    return joined(
        (rotated(third + fourth, 43) + rotated(fifth, 30) + sixth) & MASK,
        (third + rotated(fourth + word(data, 0) * K2, 18) + fifth) & MASK,
        factor,
    )


def weak(data: bytes, start: int, first: int, second: int) -> tuple[int, int]:
    """Return two 64-bit sums of the 32 bytes at `start`, seeded with two numbers."""
    words = [word(data, start + offset) for offset in (0, 8, 16, 24)]
    first += words[0]
    second = rotated(second + first + words[3], 21)
    total = first + words[1] + words[2]
    return (total + words[3]) & MASK, (second + rotated(total, 44) + first) & MASK


def of_long(data: bytes) -> int:
    """Fingerprint of more than 64 bytes."""
    x, y = (81 * K2 + word(data, 0)) & MASK, (81 * K1 + 113) & MASK
    z = mixed(y * K2 + 113) * K2 & MASK
    v, w = (0, 0), (0, 0)
    last = len(data) - 64
    factor, weight = K1, 1
    for start in [*range(0, (len(data) - 1) // 64 * 64, 64), last]:
        if start == last:
            factor, weight = K1 + ((z & 0xFF) << 1), 9
            w = ((w[0] + (len(data) - 1 & 63)) & MASK, w[1])
            v = ((v[0] + w[0]) & MASK, v[1])
            w = ((w[0] + v[0]) & MASK, w[1])
        x = rotated(x + y + v[0] + word(data, start + 8), 37) * factor & MASK
        y = rotated(y + v[1] + word(data, start + 48), 42) * factor & MASK
        x ^= w[1] * weight & MASK
        y = (y + v[0] * weight + word(data, start + 40)) & MASK
        z = rotated(z + w[0], 33) * factor & MASK
        v = weak(data, start, v[1] * factor, x + w[0])
        w = weak(data, start + 32, z + w[1], y + word(data, start + 16))
        z, x = x, z
    return joined(
        (joined(v[0], w[0], factor) + mixed(y) * K0 + z) & MASK,
        (joined(v[1], w[1], factor) + x) & MASK,
        factor,
    )


def fingerprint64(text: str) -> int:
    """Return the fingerprint of `text` in UTF-8 as an unsigned 64-bit number."""
    data = text.encode()
    if len(data) <= 16:
        return of_short(data)
    return of_medium(data) if len(data) <= 64 else of_long(data)


def farm_fingerprint(text: str) -> int:
    """Return the fingerprint as BigQuery's function of this name does: its 64 bits as a signed number."""
    found = fingerprint64(text)
    return found - (found >> 63 << 64)

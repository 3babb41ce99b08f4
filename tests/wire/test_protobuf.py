"""The wire format: numbers, framing, groups and unknown fields as the encoding guide has them."""

import pytest
from google.protobuf.internal import decoder as official_decoder
from google.protobuf.internal import encoder as official_encoder
from hypothesis import given
from hypothesis import strategies as st

from llmflow_web.wire import protobuf
from llmflow_web.wire.protobuf import (
    FIXED32,
    FIXED64,
    LENGTH,
    VARINT,
    Malformed,
    block,
    fields,
    tag_bytes,
    varint_bytes,
)


class Bytes:
    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer


def read(data: bytes, *tags: int):
    """What read_message hands to the readers of these tags."""
    found = []
    readers = {tag: lambda _r, _t, start, stop, _d, tag=tag: found.append((tag, start, stop)) for tag in tags}
    protobuf.read_message(Bytes(data), readers, None, 0, len(data), 0)
    return found


@given(st.integers(0, 2**64 - 1) | st.integers(0, 300))
def test_varints(number):
    """A varint is written as the official package writes it, and read back with its end."""
    written = []
    official_encoder._VarintEncoder()(written.append, number, True)
    data = varint_bytes(number)
    assert data == b"".join(written)
    assert protobuf.varint(b"\xff" + data + b"\x01", 1) == (number, 1 + len(data))
    assert official_decoder._DecodeVarint(data, 0) == (number, len(data))


@given(st.integers(-(2**31), 2**31 - 1))
def test_signed_numbers(number):
    """Negative numbers are ten bytes of two's complement, or zigzag."""
    assert protobuf.signed(protobuf.varint(varint_bytes(number), 0)[0], 64) == number
    assert protobuf.signed(protobuf.varint(varint_bytes(number), 0)[0], 32) == number
    assert protobuf.unzigzag(protobuf.zigzag(number)) == number
    assert len(varint_bytes(number)) == 10 or number >= 0


def test_an_overlong_number_is_refused():
    """Ten bytes are the most a number has; bits past the 64th are dropped."""
    assert protobuf.varint(b"\xff" * 9 + b"\x7f", 0) == (2**64 - 1, 10)
    assert protobuf.varint(b"\x81\x80\x80\x00", 0) == (1, 4)
    with pytest.raises(Malformed, match="ten bytes"):
        protobuf.varint(b"\xff" * 10 + b"\x01", 0)


MESSAGE = (
    tag_bytes(1, VARINT) + varint_bytes(300)
    + tag_bytes(2, FIXED64) + bytes(8)
    + block(tag_bytes(3, LENGTH), b"abc")
    + tag_bytes(4, FIXED32) + bytes(4)
    + block(tag_bytes(900, LENGTH), b"x" * 200)
    + tag_bytes(5, VARINT) + varint_bytes(1)
)  # fmt: skip


def test_framing():
    """Every wire type is stepped over right, known or not, by both ways of walking."""
    tags = [1 << 3 | VARINT, 2 << 3 | FIXED64, 3 << 3 | LENGTH, 4 << 3 | FIXED32, 900 << 3 | LENGTH, 5 << 3 | VARINT]
    walked = list(fields(MESSAGE, 0, len(MESSAGE)))
    assert [tag for tag, _, _ in walked] == tags
    assert walked[0][1] == 300
    assert MESSAGE[walked[2][1] : walked[2][2]] == b"abc"
    assert read(MESSAGE, *tags) == walked
    assert read(MESSAGE, tags[-1]) == walked[-1:]


def test_another_wire_type_is_another_field():
    """A known number with a wire type that is not its own counts as unknown."""
    assert read(tag_bytes(1, FIXED32) + bytes(4), 1 << 3 | VARINT) == []


@pytest.mark.parametrize("cut", range(1, len(MESSAGE)))
def test_cuts(cut):
    """A message that ends early is refused, unless it ends between two fields."""
    whole = {0} | {stop for _, _, stop in fields(MESSAGE, 0, len(MESSAGE))}
    for walk in (lambda data: list(fields(data, 0, len(data))), read):
        if cut in whole:
            walk(MESSAGE[:cut])
        else:
            with pytest.raises((Malformed, IndexError)):
                walk(MESSAGE[:cut])


def test_groups_are_passed_over():
    """Groups nest a thousand deep and more, cost no stack, and have to end."""
    begin, end = bytes([7 << 3 | 3]), bytes([7 << 3 | 4])
    last = tag_bytes(1, VARINT) + b"\x05"
    assert [start for _, start, _ in read(begin * 5000 + MESSAGE + end * 5000 + last, 1 << 3 | VARINT)] == [5]
    for broken in (begin * 5000, begin + bytes([6 << 3 | 4]), end, begin + begin + end):
        with pytest.raises((Malformed, IndexError)):
            read(broken)


@pytest.mark.parametrize("tag", [0, 1, 2, 5, 7, 1 << 3 | 6, 1 << 3 | 7, 1 << 3 | 4, 1 << 32])
def test_what_is_no_tag_is_refused(tag):
    """Field number 0, wire types 6 and 7, an end without a group, a tag of more than 32 bits."""
    with pytest.raises(Malformed):
        read(varint_bytes(tag) + bytes(20))


def test_a_length_past_the_end_is_refused():
    """Whatever a length says, nothing outside the message is read."""
    inner = tag_bytes(1, LENGTH) + varint_bytes(5) + b"abc"
    data = block(tag_bytes(2, LENGTH), inner) + b"more bytes"
    with pytest.raises(Malformed):
        list(fields(data, 2, 2 + len(inner)))
    with pytest.raises(Malformed):
        read(tag_bytes(1, LENGTH) + varint_bytes(2**63) + b"abc")


def test_packed_numbers():
    """Packed lists end where they say, and hold whole numbers."""
    assert protobuf.packed_varints(b"\x01\xac\x02", 0, 3) == [1, 300]
    assert protobuf.packed_fixed(b"\x01" + bytes(15), 0, 16, "Q") == [1, 0]
    with pytest.raises(Malformed):
        protobuf.packed_varints(b"\x01\xac\x02", 0, 2)
    with pytest.raises(Malformed):
        protobuf.packed_fixed(bytes(20), 0, 15, "d")

"""Messages of Protocol Buffers by hand, for services whose generated code Debian has not."""


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(*fields):
    """Pairs of a field's number and its value: a number, text, or bytes (also a message)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def find(encoded, wanted):
    """The first value of a field, or None."""
    at = 0
    while at < len(encoded):
        key, at = take_varint(encoded, at)
        if key & 7 == 2:
            size, at = take_varint(encoded, at)
            value = encoded[at:at + size]
            at += size
        else:
            value, at = take_varint(encoded, at)
        if key >> 3 == wanted:
            return value
    return None


def take_varint(encoded, at):
    number = shift = 0
    while True:
        byte = encoded[at]
        at += 1
        number |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return number, at

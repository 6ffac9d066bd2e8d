"""Whether a JPEG file says anything beside its pixels: a walk over its segments. Source: ITU-T T.81, annex B.

Only what is stored or handed out is looked at; taking metadata away is left to a library (`storage.photos`).
"""

_SOI, _EOI, _SOS, _APP0, _APP14, _COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xEE, 0xFE
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def holds_metadata(data: bytes) -> bool:
    """Return whether a JPEG has a comment or application segment other than the plain JFIF and Adobe headers.

    Bytes after the end of the picture, where phones put previews and films, count as well; so does a file that is
    not made of segments.
    """
    if data[:2] != b"\xff\xd8" or not data.endswith(b"\xff\xd9"):
        return True
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return True
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        if marker == _EOI:
            return place + 2 != len(data)
        if marker in _ALONE:
            place += 2
            continue
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : place + 2 + length]
        if length < 2 or _says_more(marker, body):
            return True
        place += 2 + length
        if marker == _SOS:
            place = _after_scan(data, place)
    return place + 2 != len(data)


def _says_more(marker: int, body: bytes) -> bool:
    if marker == _APP0:
        return not body.startswith(b"JFIF\x00") or len(body) != 14  # longer ones hold a preview
    if marker == _APP14:
        return not body.startswith(b"Adobe") or len(body) != 12
    return marker == _COM or _APP0 < marker <= 0xEF


def _after_scan(data: bytes, place: int) -> int:
    """Return where the compressed data ends: at the first marker that is neither stuffing nor a restart."""
    while (place := data.find(b"\xff", place)) >= 0 and place + 1 < len(data):
        if data[place + 1] != 0x00 and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2
    return len(data)

"""What becomes of files: wrong bits, missing ends, pages in the wrong place, junk beside them.

All of it is made from a number, so that what was found can be found again. `images` are a file without a log,
and one whose commits are all in its log.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.hostile.images import Image

PAGE = 4096
_HEAD, _LOG_HEAD = 100, 32 + 24
_JOURNAL = bytes.fromhex("d9d505f920a163d7")  # how a rollback journal begins
Images = tuple[Image, Image]


def flipped(images: Images, number: int) -> Image:
    """A file with a few wrong bits, or its log; one in three has a log."""
    image, chance = images[number % 3 == 0], random.Random(number)
    if image.log and chance.random() < 0.8:
        return replace(image, log=_flip(image.log, chance, _LOG_HEAD))
    return replace(image, main=_flip(image.main, chance, _HEAD), history=())


def cut(images: Images, number: int) -> Image:
    """A file, or its log, with its end missing, or with zeros in its place."""
    image, chance = images[number % 3 == 0], random.Random(number)
    if image.log and chance.random() < 0.8:
        return replace(image, log=_cut(image.log, chance))
    return replace(image, main=_cut(image.main, chance), history=())


def shuffled(images: Images, number: int) -> Image:
    """A file with some page in another's place, or with nothing or noise in it."""
    chance = random.Random(number)
    pages = [images[0].main[at : at + PAGE] for at in range(0, len(images[0].main), PAGE)]
    place = chance.randrange(len(pages))
    first = pages[0][:_HEAD]
    pages[place] = chance.choice((chance.choice(pages), bytes(PAGE), chance.randbytes(PAGE)))
    if chance.randrange(4):
        pages[0] = first + pages[0][_HEAD:]  # or nothing but the head would ever be looked at
    return Image(b"".join(pages))


def littered(images: Images, number: int) -> Image:
    """A sound file with junk in place of its log, of the log's index, or of a journal."""
    image, chance = images[number % 3 == 0], random.Random(number)
    size = chance.choice((1, 32, PAGE, 32768, chance.randrange(1, 100_000)))
    junk = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    match chance.randrange(3):
        case 0 if not image.log:
            return replace(image, log=junk)
        case 1:
            return replace(image, journal=_JOURNAL[: chance.choice((0, 8))] + junk, history=())
    return replace(image, index=junk)


def _flip(content: bytes, chance: random.Random, head: int) -> bytes:
    """One bit most times; where there is something, and often in the head or at the beginning of a page."""
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 1, 2, 3, 8))):
        place = chance.randrange(len(damaged))
        match chance.randrange(8):
            case 0:
                place = chance.randrange(head)
            case 1 | 2:
                place = min(place - place % PAGE + chance.randrange(64), len(damaged) - 1)
            case _:
                while not damaged[place]:
                    place = (place + 1) % len(damaged)
        if chance.randrange(4):
            damaged[place] ^= 1 << chance.randrange(8)
        else:
            damaged[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(damaged)


def _cut(content: bytes, chance: random.Random) -> bytes:
    kept = PAGE * chance.randrange(len(content) // PAGE)
    if chance.randrange(2):
        kept = chance.randrange(len(content))
    kept = max(1, kept + chance.choice((0, 0, 1, -1)))
    return content[:kept] + bytes(len(content) - kept if chance.randrange(4) == 0 else 0)

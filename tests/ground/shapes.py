"""Enums and dataclasses of every kind that a task may carry, and annotations that name them."""

from __future__ import annotations

import enum
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

if TYPE_CHECKING:
    from nowhere import Absent  # type: ignore[import-not-found]

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1
    GREEN = "green"
    VERMILION = 1


class Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Weight(float, enum.Enum):
    LIGHT = 0.5


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = 3


class Bits(enum.IntFlag, boundary=enum.KEEP):
    ONE = 1
    TWO = 2


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass(frozen=True)
class Frozen:
    name: str
    size: Size = Size.SMALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    where: Point
    tags: tuple[Colour, ...] = ()


@dataclass
class Counted(Point):
    """Inherits, and has a field that its constructor does not take."""

    seen: int = field(init=False, default=0)


@dataclass
class Tree:
    value: object
    children: list[Tree] = field(default_factory=list)


@dataclass
class Box(Generic[T]):
    content: T


@dataclass
class Doubled:
    """Its constructor changes what it is given."""

    number: int

    def __post_init__(self) -> None:
        self.number *= 2


@dataclass
class Made:
    """Its fields alone can not build it: `seed` is not kept."""

    seed: InitVar[int]
    value: int = 0

    def __post_init__(self, seed: int) -> None:
        self.value = seed


@dataclass
class Picky:
    """Refuses some values."""

    age: int

    def __post_init__(self) -> None:
        assert self.age >= 0, "nobody is that young"


@dataclass
class Listing(list[int]):
    """A dataclass that is a list as well."""

    title: str = ""


CARRIED = (
    Colour,
    Size,
    Level,
    Weight,
    Rights,
    Bits,
    Point,
    Frozen,
    Slotted,
    Counted,
    Tree,
    Box,
    Doubled,
)


# --- tasks whose annotations name them -----------------------------------------------------------


def paint(colour: Colour, where: Point | None = None) -> list[Slotted]:
    raise NotImplementedError


def wrap(box: Box[Frozen], *others: Annotated[dict[str, Level], "how high"]) -> None:
    raise NotImplementedError


def partly_known(absent: Absent, tree: Tree) -> None:
    raise NotImplementedError


@dataclass
class PartlyKnown:
    absent: Absent
    colour: Colour


@dataclass
class PartlyKnownChild(PartlyKnown):
    size: Size = Size.LARGE


# --- two classes of one name, each naming the other ------------------------------------------------


class Ours:
    @dataclass
    class Node:
        other: Theirs.Node | None = None


class Theirs:
    @dataclass
    class Node:
        other: Ours.Node | None = None


Theirs.Node.__qualname__ = Ours.Node.__qualname__

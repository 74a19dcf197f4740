"""Which enums and dataclasses a task carries: those that its annotations name, and those that these name."""

import unittest
from collections.abc import Callable

from litequeue.codec import JSON
from litequeue.errors import EncodingError
from litequeue.tags import hints, named_types
from tests.ground import shapes
from tests.ground.shapes import Box, Colour, Frozen, Level, Point, Size, Slotted, Tree


def types_of(function: Callable[..., object]) -> dict[str, type]:
    return named_types(hints(function).values())


class TestNamedTypes(unittest.TestCase):
    def test_arguments_results_and_the_fields_of_both(self) -> None:
        found = types_of(shapes.paint)
        self.assertEqual(found, {"Colour": Colour, "Point": Point, "Slotted": Slotted})

    def test_inside_generics_variable_arguments_and_annotated(self) -> None:
        found = types_of(shapes.wrap)
        self.assertEqual(found, {"Box": Box, "Frozen": Frozen, "Size": Size, "Level": Level})

    def test_a_class_that_names_itself(self) -> None:
        self.assertEqual(named_types([Tree]), {"Tree": Tree})

    def test_a_name_that_can_not_be_resolved_hides_no_other(self) -> None:
        self.assertEqual(types_of(shapes.partly_known), {"Tree": Tree})
        found = named_types([shapes.PartlyKnownChild])
        self.assertEqual(found, {"PartlyKnownChild": shapes.PartlyKnownChild, "Colour": Colour, "Size": Size})

    def test_two_classes_of_one_name_that_name_each_other(self) -> None:
        ours, theirs = shapes.Ours.Node, shapes.Theirs.Node
        self.assertEqual(named_types([ours, theirs]), {"Ours.Node": ours})
        with self.assertRaises(EncodingError):
            JSON.knowing(ours).encode(theirs())

    def test_what_is_neither_is_left_out(self) -> None:
        self.assertEqual(named_types([int, str, list]), {})

    def test_callables_without_annotations(self) -> None:
        for each in (len, print, lambda x: x, object(), 5):
            with self.subTest(each):
                self.assertEqual(hints(each), {})


class TestTypesOfOneCall(unittest.TestCase):
    """The types given with a call are known for that call alone."""

    def test_they_are_written_and_read(self) -> None:
        known = types_of(shapes.paint)
        stored = JSON.encode([Colour.RED, Point(1)], known)
        self.assertEqual(JSON.decode(stored, known), [Colour.RED, Point(1)])

    def test_they_are_forgotten_afterwards(self) -> None:
        stored = JSON.encode(Point(1), types_of(shapes.paint))
        with self.assertRaisesRegex(
            EncodingError, "'Point', which is not known here; open the queue with codec="
        ):
            JSON.decode(stored)

    def test_a_field_added_since_takes_its_default(self) -> None:
        older = '{"$dataclass":["Point",{"x":2}]}'
        self.assertEqual(JSON.knowing(Point).decode(older), Point(2, 0.0))

"""Faults planted into a copy of the product, to see that the tests would catch them."""

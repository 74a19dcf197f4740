"""A Django app and its project, for the tests of the Django backend."""

"""The ground floor: values in, values out, and nothing that touches a disk."""

from hypothesis import settings

# A busy machine is no failure: how long one example takes is not what these tests are about.
settings.register_profile("litequeue", deadline=None)
settings.load_profile("litequeue")

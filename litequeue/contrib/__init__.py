"""Faces for frameworks. Each of its rooms imports one of them, and nothing else in litequeue does."""

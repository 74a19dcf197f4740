"""Faces for frameworks, held against these. Where one of them is missing, its tests are skipped."""

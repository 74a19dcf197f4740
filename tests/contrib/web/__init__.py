"""The examples of web apps under real servers."""

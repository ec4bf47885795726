"""Fixtures for all tests. Its place puts tests/ on sys.path, for ``import support``."""

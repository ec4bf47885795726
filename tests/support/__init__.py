"""Helpers of the tests; import as ``support.…`` (tests/ is on the path by its conftest)."""

"""respin.toml and the limits: read once, checked as a whole, handed on as frozen records.

It imports files and the floors below.
"""

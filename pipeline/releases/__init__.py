"""The releases of Debian and Ubuntu: names, suites, mirrors, and when their support ends.

It imports archives and the floors below.
"""

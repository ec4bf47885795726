"""Stage: a source package is fetched and verified, or made from a directory of the user's.

It imports releases, archives and the floors below.
"""

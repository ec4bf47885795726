"""Stage: a source package becomes .debs in a container, or others' .debs are checked.

It imports containers, archives and the floors below.
"""

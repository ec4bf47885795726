"""The fixes: what a source needs, and the patch that is made for just that source.

It imports archives and the floors below.
"""

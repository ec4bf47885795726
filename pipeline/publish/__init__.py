"""A run's packages go into an apt repository, or to an upload queue.

It imports runs and the floors below.
"""

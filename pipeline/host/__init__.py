"""What this machine gives: processes, the cache, temporary directories, the project's own data.

It imports files and the floors below.
"""

"""The command line: options in, one call, words and an exit code out. Read main.py first.

It imports everything; nothing imports it.
"""

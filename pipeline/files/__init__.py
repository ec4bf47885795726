"""Files that others may have made, read within bounds; files and directories that are ours alone.

It imports text, model and errors.
"""

"""Archives of packages: whose index is believed, which files it lists, how they are downloaded.

It imports isolation, host, config and the floors below.
"""

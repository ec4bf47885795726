"""What others wrote, made safe to show or to write into a language; addresses without credentials.

It imports errors.
"""

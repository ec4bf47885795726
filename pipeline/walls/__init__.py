"""Walls: what a command may reach, use and call while it runs, and nothing beyond.

``order.Order`` says what a wall is to be; ``enter.py`` builds it and runs the command behind it.
"""

"""Many releases, unattended: watch, plan, run, publish, show. Read night.py first.

It imports run.py, publish and the floors below.
"""

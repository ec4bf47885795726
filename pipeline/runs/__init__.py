"""What one run consists of: its request, stages, directory, report and lock file.

It imports every stage and the floors below.
"""

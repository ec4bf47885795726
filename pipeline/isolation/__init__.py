"""What keeps a program apart from this machine: namespaces, system calls, rights, the sandbox.

It imports host and the floors below.
"""

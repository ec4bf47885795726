"""Stage: packages are tried in a virtual machine, the distro's before ours.

It imports vm, containers and the floors below.
"""

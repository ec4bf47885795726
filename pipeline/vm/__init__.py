"""Virtual machines: the kernel, the initramfs and QEMU. What is tested in them is not known here.

It imports archives and the floors below.
"""

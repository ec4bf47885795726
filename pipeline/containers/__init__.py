"""Containers: where a package is built. One protocol, one module per engine."""

from pipeline.containers.base import Container, Share, User

__all__ = ["Container", "Share", "User"]

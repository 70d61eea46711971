"""Kopf: what keeps the watch-streams open and calls when something moves. The only importer of kopf.

Handlers only wake: no create, update or delete handler, so no finalizer and no annotation on anybody's objects.
"""

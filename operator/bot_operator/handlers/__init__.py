"""Kopf: what keeps the watch-streams open and calls when something moves. The only importer of kopf.

Handlers only wake: no create, update or delete handler, so no finalizer and no annotation on anybody's objects.
Kopf runs while this process leads, in a thread and on a loop of its own: at its end it cancels all that its loop holds.
"""

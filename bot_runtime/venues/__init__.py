"""Connections to venues, shared by the brokers and the feeds of a process."""

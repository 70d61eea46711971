"""Delivery of the queued messages: one adapter a channel, one dispatcher for the whole fleet."""

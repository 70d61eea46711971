"""Limits that hold before and during a trade. Pure."""

"""Indicators as pure functions of columns of bars. Must not know rules, positions or where bars come from."""

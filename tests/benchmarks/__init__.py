"""Figures that a user can reproduce: `make bench`. No part of the tests, but for a smoke of each."""

"""Tests of the Python package. See the README of the package for what they need."""

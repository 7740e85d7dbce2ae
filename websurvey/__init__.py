"""Asking on the web."""

"""Asking by phone."""

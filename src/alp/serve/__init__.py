"""Serving: purified copies of pictures in bulk."""

"""The app whose rows Morango merges."""

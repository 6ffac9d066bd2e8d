"""The demo story: a fictional year in a real street, from a seed."""

"""Programs that run in the peers' own environment (build/peers): started once, asked for one round at a time."""

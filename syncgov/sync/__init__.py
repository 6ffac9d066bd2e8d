"""The device's side of sync: transport and client."""

"""How chunks of events are worked on: here, in processes of this machine, or on a cluster."""

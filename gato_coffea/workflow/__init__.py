"""What keeps a results folder right: one run at a time, only files of our own, nothing stale."""

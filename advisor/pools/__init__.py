"""Where workers run. ``local`` starts them on this machine."""
